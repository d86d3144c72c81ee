//! A message by whose its fixes are: some name a device of their own, as a relay's do, the others are of whose the message is.

use super::{Admitted, Ingest, NotStored, Report, Taken};
use crate::faults::Source;
use crate::metrics;
use crate::protocol::{Decoded, Fault, FaultKind, Fix};
use std::collections::BTreeMap;
use waystream_domain::{DeviceId, Timestamp};

impl Ingest {
    /// Takes a message that is complete in itself (a datagram, a request, a publication): its faults are told, its device
    /// looked up, its fixes made durable. They are moved out of `decoded`, whose device is then the one of the catalog.
    pub async fn take(&self, source: Source<'_>, received_at: Timestamp, decoded: &mut Decoded) -> Result<Taken, NotStored> {
        let source = Source { device: decoded.device.as_ref(), ..source };
        for fault in &decoded.faults {
            self.0.faults.tell(source, fault);
        }
        let from = match &decoded.device {
            Some(device) => match self.admit(source, device, &decoded.aliases, decoded.fixes.len()).await? {
                Some(from) => Some(from),
                None => return Ok(Taken::Refused),
            },
            None => None,
        };
        let reports = self.reports(source, from.as_ref(), std::mem::take(&mut decoded.fixes)).await?;
        self.store(source, received_at, reports).await?;
        decoded.device = from.map(|from| from.device);
        Ok(Taken::Stored)
    }

    /// The fixes of one message by whose they are: those that name a device are its own, by the same rules as if it had a
    /// connection (the fixes of a refused one are left out, and counted), the others are of `session`.
    pub async fn reports(
        &self,
        source: Source<'_>,
        session: Option<&Admitted>,
        fixes: Vec<Fix>,
    ) -> Result<Vec<Report>, NotStored> {
        let mut reports: Vec<Report> = Vec::new();
        // Why, and how many positions of it.
        let mut refused: BTreeMap<DeviceId, (FaultKind, usize)> = BTreeMap::new();
        let mut of_nobody = 0;
        for mut fix in fixes {
            let from = match fix.device.take() {
                // Neighbours are mostly of one device.
                Some(device) if reports.last().is_some_and(|last| last.from.device == device) => None,
                Some(device) => {
                    if let Some((_, positions)) = refused.get_mut(&device) {
                        *positions += 1;
                        continue;
                    }
                    match self.decide(source, &device, &[]).await? {
                        Ok(from) => Some(from),
                        Err(why) => {
                            refused.insert(device, (why, 1));
                            continue;
                        }
                    }
                }
                None if session.is_some() && reports.last().map(|last| &last.from) == session => None,
                None => match session {
                    Some(session) => Some(session.clone()),
                    None => {
                        self.0.faults.tell(source, &Fault::new(FaultKind::NoDevice, "a fix of nobody"));
                        of_nobody += 1;
                        continue;
                    }
                },
            };
            match (from, reports.last_mut()) {
                (None, Some(last)) => last.fixes.push(fix),
                (from, _) => reports.extend(from.map(|from| Report { from, fixes: vec![fix] })),
            }
        }
        for (why, positions) in refused.into_values().chain([(FaultKind::NoDevice, of_nobody)]) {
            metrics::refused_positions(source.protocol, why, positions);
        }
        Ok(reports)
    }
}
