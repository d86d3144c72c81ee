//! The seam to history: this crate knows when a report is due, and nothing of its figures.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use waystream_domain::notify::{Per, Period, ReportFormat};
use waystream_domain::{FleetId, OrganisationId};

/// A report in the making: the file, or why there is none now. Then it is tried again later.
pub type Making<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Makes the files of reports.
pub trait Reports: Send + Sync {
    /// What the vehicles of an organisation did in a period, a line for each or for each of their fleets; of all its fleets if none is
    /// named. It takes bounded time.
    fn make<'a>(
        &'a self,
        organisation: &'a OrganisationId,
        fleets: &'a BTreeSet<FleetId>,
        per: Per,
        period: Period,
        format: ReportFormat,
    ) -> Making<'a>;
}
