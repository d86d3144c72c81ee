//! How far history goes, of all and of one scope.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, fixture, position};
use std::sync::Arc;
use waystream_sql::SqlOptions;
use waystream_store::{ArchiveBatch, Archived};

#[tokio::test]
async fn a_scope_s_history_is_found_within_that_of_others() {
    let f = fixture(SqlOptions::default()).await;
    let (long_ago, much_later) = (at("2001-01-01T00:00:00Z"), at("2031-01-01T00:00:00Z"));
    let far = [long_ago, much_later].map(|time| position("e0", "east", time, 52.0, 13.0)).into_iter().enumerate();
    let far = far.map(|(i, row)| Archived { partition: 0, offset: 2_000 + i as u64, row }).collect();
    f.store.append(Arc::new(ArchiveBatch { positions: far, ..ArchiveBatch::default() })).await.unwrap();

    let of_acme = (at("2026-03-04T23:55:00Z"), at("2026-03-05T00:11:30Z"));
    assert_eq!(f.engine.time_range(&f.acme).await.unwrap(), Some(of_acme));
    assert_eq!(f.engine.time_range(&f.bolt).await.unwrap(), Some((long_ago, much_later)));
    let nothing = f.acme.clone().only(|_| false);
    assert_eq!(f.engine.time_range(&nothing).await.unwrap(), None);

    let day = at("2026-03-05T00:00:00Z");
    for (from, to, expected) in [
        (None, None, (long_ago, much_later)),
        (Some(day), None, (day, much_later)),
        (Some(at("0001-01-01T00:00:00Z")), Some(day), (long_ago, day)),
    ] {
        assert_eq!(f.engine.span(&f.acme, from, to).await.unwrap(), Some(expected));
    }
    let devices = async |from: &str, to: &str| {
        let found = f.engine.devices(&f.bolt, at(from), at(to)).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(devices("2026-01-01", "2027-01-01").await, "e0 e1 e2 e3 e4");
    assert_eq!(devices("2001-01-01", "2002-01-01").await, "e0");
    assert_eq!(devices("2002-01-01", "2003-01-01").await, "");
}
