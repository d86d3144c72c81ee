//! Footers of files, kept with their index of pages. DataFusion's own reader keeps them as its opener first asks for them, without: then
//! the index of each file is read and decoded again for every question that looks for places in it.

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ParquetMetaData;
use std::ops::Range;
use std::sync::Arc;

/// Makes readers of the store's files.
#[derive(Debug)]
pub(super) struct IndexedReaders(CachedParquetFileReaderFactory);

impl IndexedReaders {
    /// Of files below there; what is known of each is kept with what else the runtime keeps.
    pub(super) fn new(files: Arc<dyn ObjectStore>, runtime: &RuntimeEnv) -> Self {
        Self(CachedParquetFileReaderFactory::new(files, runtime.cache_manager.get_file_metadata_cache()))
    }
}

impl ParquetFileReaderFactory for IndexedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(Indexed(self.0.create_reader(partition, file, metadata_size_hint, metrics)?)))
    }
}

struct Indexed(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for Indexed {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<bytes::Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<bytes::Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    /// All there is to know, whatever the caller could do without.
    fn get_metadata<'a>(&'a mut self, _: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.0.get_metadata(None)
    }
}
