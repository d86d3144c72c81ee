//! A result as a stream of bytes, encoded on the engine's threads with no more than some batches in memory.

use super::{Format, encode};
use crate::engine::Rows;
use crate::{Scope, SqlEngine, SqlError};

/// Bytes of a piece, about.
const PIECE: usize = 64 << 10;

/// Bytes of a result as they come. Dropping it stops the query.
pub struct ByteStream {
    pieces: Rows<Vec<u8>>,
}

impl ByteStream {
    /// The next bytes; `None` at the end or after an error. A stream that ended in an error is not a whole result.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, SqlError>> {
        self.pieces.next().await
    }
}

impl SqlEngine {
    /// Runs a query as [`SqlEngine::query`] does and encodes its rows. JSON, which is for people and says so, is cut off at
    /// `SqlOptions::max_rows`; the others are as long as they are.
    pub async fn stream(&self, scope: &Scope, sql: &str, format: Format) -> Result<ByteStream, SqlError> {
        let mut result = match format {
            Format::Json => self.query(scope, sql).await?,
            _ => self.query_all(scope, sql).await?,
        };
        let mut bytes = Vec::with_capacity(PIECE);
        let mut encoder = encode::encoder(format, result.schema(), &mut bytes)?;
        let pieces = self.spawn(None, move |out| async move {
            let mut begun = false;
            while let Some(batch) = result.next().await {
                match batch {
                    Ok(batch) => encoder.rows(&batch, &mut bytes)?,
                    Err(error) if begun && encoder.fail(&error, &mut bytes) => {
                        out.send(Ok(bytes)).await.ok();
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
                if bytes.len() >= PIECE {
                    begun = true;
                    if out.send(Ok(std::mem::replace(&mut bytes, Vec::with_capacity(PIECE)))).await.is_err() {
                        return Ok(());
                    }
                }
            }
            encoder.end(result.truncated(), &mut bytes)?;
            out.send(Ok(bytes)).await.ok();
            Ok(())
        });
        Ok(ByteStream { pieces })
    }
}
