//! Map tiles in one file, for those who want to depend on nobody else's server: a PMTiles archive, of which browsers read pieces.

use axum::Router;
use std::io;
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tower_http::services::ServeFile;

/// Where browsers find it.
pub const TILES_PATH: &str = "/map.pmtiles";
/// What such a file begins with: its name, and the version of its layout.
const BEGINS: &[u8] = b"PMTiles\x03";

/// Hands it out, after a look at its first bytes.
///
/// # Errors
/// If it can't be read, or is something else.
pub(crate) async fn router(file: &Path) -> io::Result<Router> {
    let mut first = Vec::new();
    File::open(file).await?.take(BEGINS.len() as u64).read_to_end(&mut first).await?;
    if first != BEGINS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no PMTiles archive of version 3"));
    }
    Ok(Router::new().route_service(TILES_PATH, ServeFile::new(file)))
}
