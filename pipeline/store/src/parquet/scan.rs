//! A table as DataFusion reads it: each row once, from as few files as the filters allow, merging only where parts overlap.
//!
//! Parts (files and runs in memory) that can't hold versions of the same row are read side by side, with every filter and the
//! projection pushed into the Parquet reader. Only parts whose bounds of device *and* fix time overlap are merged; there, filters on
//! anything but the key wait until after the merge, because an older version must not pass where the kept one does not.

use super::count_exec::CountExec;
use super::file::DataFile;
use super::indexed::IndexedReaders;
use super::lately::Lately;
use super::merge_exec::MergeExec;
use super::order::{joined, times_first};
use super::overlap::{Group, groups};
use super::part::{Extents, Part};
use super::parts::Parts;
use super::whole;
use crate::Table;
use arrow::array::RecordBatch;
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, col, lit};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, expressions};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file not checked since the store was opened is checked before it is first read, if it is at most this large. Larger ones are
/// checked in the background, or once reading them has failed: reading a gigabyte to answer a question about one device would take
/// too long.
const CHECK_BYTES: u64 = 64 << 20;

/// Up to so many files are read as one sorted partition each, so that window functions over devices need no sort.
const SORTED_PARTITIONS: usize = 32;

/// Rows per batch that a run in memory is read in.
const RUN_ROWS: usize = 8_192;

/// The store's folder as DataFusion reaches it: file names are relative to it, so that its own name may be any.
#[derive(Debug)]
pub(crate) struct Folder {
    url: ObjectStoreUrl,
    files: Arc<dyn ObjectStore>,
    pub(super) lately: Lately,
}

impl Folder {
    /// The folder is there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let url = ObjectStoreUrl::parse(format!("waystream-store://{number}"))?;
        Ok(Self { url, files: Arc::new(LocalFileSystem::new_with_prefix(path)?), lately: Lately::default() })
    }
}

/// One table at one moment.
#[derive(Debug, Clone)]
pub(crate) struct TableSnapshot {
    pub(super) table: Table,
    parts: Arc<Parts>,
    pub(super) folder: Arc<Folder>,
    keep_from_ms: i64,
    /// See [`crate::newest_only`].
    newest_only: bool,
}

impl TableSnapshot {
    /// Rows with fix times before `keep_from_ms` (milliseconds since 1970) are left out.
    pub(crate) fn new(table: Table, parts: Arc<Parts>, folder: Arc<Folder>, keep_from_ms: i64) -> Self {
        Self { table, parts, folder, keep_from_ms, newest_only: false }
    }

    /// The same, where newest rows are enough; `None` if that makes no difference.
    fn newest_only(&self) -> Option<Self> {
        let matters = self.table == Table::Positions && !self.newest_only;
        matters.then(|| Self { newest_only: true, ..self.clone() })
    }

    /// What leaves out rows past retention, which files of several days may still have.
    fn kept(&self) -> Option<Expr> {
        let (first, _) = self.parts.fix_times()?;
        (first < self.keep_from_ms).then(|| col("fix_time").gt_eq(time(self.keep_from_ms)))
    }

    /// Parts that may hold rows which pass the filters, without those that are damaged.
    pub(super) async fn parts(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Part>> {
        let files = self.parts.files.iter().filter(|f| !f.is_damaged()).cloned().map(Part::File);
        let mut parts: Vec<Part> = files.chain(self.parts.runs.iter().cloned().map(Part::Run)).collect();
        let schema = self.table.schema();
        // Pruning by anything but the key could take away the version that is kept, and leave an older one.
        let prunable = filters.iter().filter(|f| self.only_of_key(f) || f.column_refs().iter().all(|c| c.name == "log_offset"));
        if let Some(filter) = conjunction(prunable.cloned()) {
            let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema.clone())?)?;
            let pruning =
                PruningPredicateBuilder::new().with_file_schema(schema).with_max_in_list_size(1_000).try_build(filter)?;
            let mut keep = pruning.prune(&Extents(&parts))?.into_iter();
            parts.retain(|_| keep.next().unwrap_or(true));
        }
        let unchecked = |p: &Part| match p {
            Part::File(f) if f.is_unchecked() && f.entry.bytes <= CHECK_BYTES => Some(f.clone()),
            _ => None,
        };
        let unchecked: Vec<_> = parts.iter().filter_map(unchecked).collect();
        if !unchecked.is_empty() {
            let check = move || {
                for file in unchecked {
                    file.check();
                }
            };
            tokio::task::spawn_blocking(check).await.map_err(|e| internal_datafusion_err!("{e}"))?;
            parts.retain(|p| !matches!(p, Part::File(f) if f.is_damaged()));
        }
        Ok(parts)
    }

    /// Whether all versions of a row pass, or none.
    fn only_of_key(&self, filter: &Expr) -> bool {
        filter.column_refs().iter().all(|c| self.table.key().contains(&c.name.as_str()))
    }

    /// All rows that pass the filters, or as many as there are where no column is wanted.
    pub(super) async fn all(
        &self,
        state: &dyn Session,
        mut filters: Vec<Expr>,
        wanted: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // The reader goes by this order: most rows fail by device or time, and to look at those costs least.
        filters.sort_by_key(|f| !self.only_of_key(f));
        let parts = self.parts(state, &filters).await?;
        whole::drop_passed(state, self.table, &parts, &mut filters)?;
        let mut groups = groups(&parts.iter().map(Part::extent).collect::<Vec<_>>());
        let mut counted = 0;
        if wanted.is_empty() {
            let counter = whole::Counter::new(state, self.table, &filters)?;
            let mut unknown = Vec::new();
            for group in groups {
                let known = match (group.members.as_slice(), group.clip) {
                    ([one], None) => counter.rows(&parts[*one])?,
                    _ => None,
                };
                match known {
                    Some(rows) => counted += rows,
                    None => unknown.push(group),
                }
            }
            groups = unknown;
        }
        let counted: Option<Arc<dyn ExecutionPlan>> =
            (counted > 0).then(|| Arc::new(CountExec::new(counted)) as Arc<dyn ExecutionPlan>);
        match counted {
            None => self.rows(state, &parts, &groups, &filters, wanted),
            Some(counted) if groups.is_empty() => Ok(counted),
            Some(counted) => UnionExec::try_new(vec![counted, self.rows(state, &parts, &groups, &filters, wanted)?]),
        }
    }

    /// The rows of these groups.
    fn rows(
        &self,
        state: &dyn Session,
        parts: &[Part],
        groups: &[Group],
        filters: &[Expr],
        wanted: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let mut names: BTreeSet<&str> = filters.iter().flat_map(|f| f.column_refs()).map(|c| c.name.as_str()).collect();
        if groups.iter().any(|g| g.members.len() > 1) {
            names.extend(self.table.key().iter().chain(self.table.version()));
        }
        let mut read: BTreeSet<usize> = wanted.iter().copied().collect();
        for name in names {
            read.insert(schema.index_of(name)?);
        }
        let reader = Reader::new(state, self.table, &self.folder, read.into_iter().collect())?;
        let plan = reader.read(parts, groups, filters, |f| self.only_of_key(f))?;

        if reader.columns == wanted {
            return Ok(plan);
        }
        let expressions = wanted.iter().map(|i| {
            let name = schema.field(*i).name();
            Ok((expressions::col(name, &plan.schema())?, name.clone()))
        });
        Ok(Arc::new(ProjectionExec::try_new(expressions.collect::<Result<Vec<_>>>()?, plan)?))
    }
}

/// See [`crate::newest_only`].
pub(crate) fn newest_only(table: &Arc<dyn TableProvider>) -> Option<Arc<dyn TableProvider>> {
    Some(Arc::new(table.downcast_ref::<TableSnapshot>()?.newest_only()?))
}

/// The files that a plan reads, each once.
pub(crate) fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<DataFile>> {
    fn collect(plan: &Arc<dyn ExecutionPlan>, files: &mut Vec<Arc<DataFile>>) {
        let source = plan.downcast_ref::<DataSourceExec>().and_then(|exec| exec.downcast_to_file_source::<ParquetSource>());
        if let Some((config, _)) = source {
            let read = config.file_groups.iter().flat_map(|group| group.files());
            files.extend(read.filter_map(|file| file.extension::<Arc<DataFile>>().cloned()));
        }
        plan.children().into_iter().for_each(|child| collect(child, files));
    }
    let mut files = Vec::new();
    collect(plan, &mut files);
    files.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    files.dedup_by(|a, b| a.entry.path == b.entry.path);
    files
}

#[async_trait]
impl TableProvider for TableSnapshot {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        use datafusion::common::tree_node::TreeNode;
        let subquery =
            |e: &Expr| matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_));
        let support = |f: &&Expr| match f.exists(|e| Ok(subquery(e))) {
            Ok(false) => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = times_first(filters.iter().cloned().chain(self.kept()));
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.table.schema().fields().len()).collect());
        if self.newest_only
            && let Some(newest) = self.newest(state, &filters, &wanted).await?
        {
            return Ok(newest);
        }
        self.all(state, filters, &wanted).await
    }
}

/// Makes plans that read some columns of parts.
struct Reader<'a> {
    state: &'a dyn Session,
    table: Table,
    folder: &'a Folder,
    /// Indices of the columns read, growing.
    columns: Vec<usize>,
    schema: DFSchema,
    /// Order of the rows in every part, in terms of all columns of the table.
    sorted: LexOrdering,
    factory: Arc<IndexedReaders>,
}

impl<'a> Reader<'a> {
    fn new(state: &'a dyn Session, table: Table, folder: &'a Folder, columns: Vec<usize>) -> Result<Self> {
        let all = table.schema();
        let schema = DFSchema::try_from(all.project(&columns)?)?;
        let runtime = state.runtime_env();
        runtime.register_object_store(folder.url.as_ref(), folder.files.clone());
        let factory = Arc::new(IndexedReaders::new(folder.files.clone(), runtime));
        Ok(Self { state, table, folder, columns, schema, sorted: sorted_by_key(table, &all)?, factory })
    }

    /// All groups side by side.
    fn read(
        &self,
        parts: &[Part],
        groups: &[Group],
        filters: &[Expr],
        only_of_key: impl Fn(&Expr) -> bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (of_key, rest): (Vec<Expr>, Vec<Expr>) = filters.iter().cloned().partition(only_of_key);
        let mut plans = Vec::new();
        let (mut files, mut runs) = (Vec::new(), Vec::new());
        for group in groups {
            let bounds = |(from, to)| [col("fix_time").gt_eq(time(from)), col("fix_time").lt_eq(time(to))];
            let clip = group.clip.into_iter().flat_map(bounds);
            match (group.members.as_slice(), group.clip) {
                ([one], None) => match &parts[*one] {
                    Part::File(file) => files.push(file.clone()),
                    Part::Run(run) => runs.push(run.rows.clone()),
                },
                ([one], Some(_)) => plans.push(self.filtered(self.part(&parts[*one])?, filters.iter().cloned().chain(clip))?),
                (several, _) => {
                    let condition = joined(of_key.iter().cloned().chain(clip));
                    let inputs = several.iter().map(|i| self.input(&parts[*i], condition.as_ref()));
                    let inputs = inputs.collect::<Result<Vec<_>>>()?;
                    let ordering = sorted_by_key(self.table, self.schema.inner())?;
                    plans.push(self.filtered(Arc::new(MergeExec::new(self.table, inputs, ordering)?), rest.clone())?);
                }
            }
        }
        if !files.is_empty() {
            plans.push(self.filtered(self.files(&files)?, filters.to_vec())?);
        }
        if !runs.is_empty() {
            plans.push(self.filtered(self.runs(&runs)?, filters.to_vec())?);
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(self.schema.inner().clone()))),
            1 => Ok(plans.swap_remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }

    /// DataFusion's optimizer pushes these on into the Parquet reader.
    fn filtered(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        filters: impl IntoIterator<Item = Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match joined(filters) {
            None => Ok(plan),
            Some(filter) => Ok(Arc::new(FilterExec::try_new(self.state.create_physical_expr(filter, &self.schema)?, plan)?)),
        }
    }

    /// One part for a merge, with what of the key is asked for.
    fn input(&self, part: &Part, condition: Option<&Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        match (part, condition) {
            (Part::File(file), _) => self.filtered(self.files(std::slice::from_ref(file))?, condition.cloned()),
            (Part::Run(run), None) => self.runs(std::slice::from_ref(&run.rows)),
            (Part::Run(run), Some(condition)) => {
                // Filtered here and now: the optimizer would spread a filter node over threads, and have to sort again.
                let schema = DFSchema::try_from(self.table.schema())?;
                let passes = self.state.create_physical_expr(condition.clone(), &schema)?.evaluate(&run.rows)?;
                let passes = passes.into_array(run.rows.num_rows())?;
                self.runs(&[filter_record_batch(&run.rows, as_boolean_array(&passes)?)?])
            }
        }
    }

    fn part(&self, part: &Part) -> Result<Arc<dyn ExecutionPlan>> {
        match part {
            Part::File(file) => self.files(std::slice::from_ref(file)),
            Part::Run(run) => self.runs(std::slice::from_ref(&run.rows)),
        }
    }

    fn files(&self, files: &[Arc<DataFile>]) -> Result<Arc<dyn ExecutionPlan>> {
        let file = |f: &Arc<DataFile>| {
            // The plan keeps the file on disk as long as it may read it.
            PartitionedFile::new(f.entry.path.as_str(), f.entry.bytes).with_extension(f.clone())
        };
        let sorted = files.len() <= SORTED_PARTITIONS;
        let groups: Vec<FileGroup> = if sorted {
            files.iter().map(|f| FileGroup::new(vec![file(f)])).collect()
        } else {
            let per_group = files.len().div_ceil(self.state.config().target_partitions());
            files.chunks(per_group).map(|chunk| FileGroup::new(chunk.iter().map(file).collect())).collect()
        };
        let source = ParquetSource::new(self.table.schema())
            .with_table_parquet_options(self.state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(self.factory.clone());
        let config = FileScanConfigBuilder::new(self.folder.url.clone(), Arc::new(source))
            .with_projection_indices(Some(self.columns.clone()))?
            .with_file_groups(groups)
            .with_output_ordering(if sorted { vec![self.sorted.clone()] } else { Vec::new() })
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn runs(&self, runs: &[RecordBatch]) -> Result<Arc<dyn ExecutionPlan>> {
        in_memory(self.table, runs, &self.columns)
    }
}

/// Some columns of rows in memory, each batch sorted by the table's key.
pub(super) fn in_memory(table: Table, runs: &[RecordBatch], columns: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    let slices = |rows: &RecordBatch| -> Vec<RecordBatch> {
        (0..rows.num_rows()).step_by(RUN_ROWS).map(|i| rows.slice(i, RUN_ROWS.min(rows.num_rows() - i))).collect()
    };
    let partitions: Vec<_> = runs.iter().map(slices).collect();
    let schema = table.schema();
    let sorted = sorted_by_key(table, &schema)?;
    let source = MemorySourceConfig::try_new(&partitions, schema, Some(columns.to_vec()))?;
    Ok(DataSourceExec::from_data_source(source.try_with_sort_information(vec![sorted])?))
}

fn time(ms: i64) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())))
}

fn sorted_by_key(table: Table, schema: &SchemaRef) -> Result<LexOrdering> {
    let options = SortOptions { descending: false, nulls_first: false };
    let columns = table.key().iter().map(|name| Ok(PhysicalSortExpr { expr: expressions::col(name, schema)?, options }));
    LexOrdering::new(columns.collect::<Result<Vec<_>>>()?).ok_or_else(|| internal_datafusion_err!("a key has columns"))
}
