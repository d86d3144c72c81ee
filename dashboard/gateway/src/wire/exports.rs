//! Tracks as files.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Tracks to be written to a file, of more devices than an address can name.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// `csv`, `gpx`, `geojson`, `kml`, `parquet` or `xlsx`.
    pub format: String,
    /// Their ids.
    pub devices: Vec<String>,
    /// First fix time.
    pub from: i64,
    /// Last fix time.
    pub to: i64,
}
