//! Reports are sent once, with their file.

use crate::common::{System, channel, config, enter, rule};
use crate::email::{free_port, mails, server, settings, to};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use waystream_domain::notify::{DeliveryState, Every, LocalTimeText, Per, Period, Report, ReportFormat, Target};
use waystream_domain::{CatalogEntry, FleetId, OrganisationId};
use waystream_notify::{Making, Reports};

/// The seam to history, with nothing behind it: busy at first.
#[derive(Default)]
struct Figures {
    asked: AtomicU32,
}

impl Reports for Figures {
    fn make<'a>(
        &'a self,
        organisation: &'a OrganisationId,
        fleets: &'a BTreeSet<FleetId>,
        per: Per,
        period: Period,
        format: ReportFormat,
    ) -> Making<'a> {
        Box::pin(async move {
            let a_day = period.to.millis_since(period.from) == 86_400_000;
            match self.asked.fetch_add(1, Ordering::SeqCst) {
                0 => Err("too many questions".to_owned()),
                _ if organisation.as_str() == "o"
                    && fleets.len() == 1
                    && per == Per::Fleet
                    && a_day
                    && format == ReportFormat::Xlsx =>
                {
                    Ok(b"PK\x03\x04\xff\0".to_vec())
                }
                _ => Err(format!("{organisation} {fleets:?} {per:?} {period:?} {format:?}")),
            }
        })
    }
}

/// Due since midnight.
fn report(channel: &str) -> CatalogEntry {
    let at = LocalTimeText { time: "00:00".into(), time_zone: "UTC".into() };
    CatalogEntry::Report(Report {
        id: "daily".parse().unwrap(),
        organisation: "o".parse().unwrap(),
        name: "All vans".into(),
        enabled: true,
        fleets: BTreeSet::from(["north".parse().unwrap()]),
        per: Per::Fleet,
        every: Every::Day,
        at: at.try_into().unwrap(),
        format: ReportFormat::Xlsx,
        channel: channel.parse().unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_sent_once_with_its_file_also_after_a_restart() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let maildir = folder.path().join("mail");
    let _server = server(port, &maildir, &[]).await;
    let system = System::start_with(settings(port), Some(Arc::new(Figures::default()))).await;
    let mail = channel("mail", to(&["boss@fleet.example"]));
    system.put(vec![mail, CatalogEntry::NotificationRule(rule("mail")), report("mail")]).await;
    // A notifier that starts looks at once.
    let system = system.restart().await;
    let sent = system.until_all(1, &["delivered"]).await.remove(0);
    assert_eq!(sent.attempts, 2, "what can't be made now is made later");
    let system = system.restart().await;
    // The first look is over when this event has been told.
    system.happen(&[enter("Van 7", 1)]).await;
    system.until_all(2, &["delivered"]).await;
    let mails = mails(&maildir);
    let reports: Vec<_> = mails.iter().filter(|mail| mail.contains("Subject: All vans: 2")).collect();
    let [mail] = reports.as_slice() else { panic!("{mails:?}") };
    for part in ["filename=\"report-2", ".xlsx\"", "spreadsheetml.sheet", "UEsDBP8A", ": from 2"] {
        assert!(mail.contains(part), "{part} is not in\n{mail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_sent_says_why() {
    let hook = Target::Mqtt { topic: waystream_domain::notify::Topic::parse("x").unwrap() };
    let system = System::telling(config(), &[("hook", hook), ("mail", to(&["boss@fleet.example"]))]).await;
    for channel in ["hook", "mail"] {
        let CatalogEntry::Report(mut report) = report(channel) else { panic!("a report") };
        report.id = channel.parse().unwrap();
        system.put(vec![CatalogEntry::Report(report)]).await;
    }
    let system = system.restart().await;
    let dead = system.until_all(2, &["dead"]).await;
    for (channel, says) in [("hook", "goes by e-mail"), ("mail", "no history")] {
        let delivery = dead.iter().find(|d| d.channel.as_str() == channel).unwrap();
        let DeliveryState::Dead { reason } = &delivery.state else { panic!("{delivery:?}") };
        assert!(reason.contains(says), "{reason}");
    }
}
