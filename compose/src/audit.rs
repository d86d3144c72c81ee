//! `waystream audit`: who changed what, for who has a shell. All organisations are told together.

use crate::access::with_history;
use crate::cli::AuditArgs;
use crate::commands::{settings, time};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;
use waystream_domain::audit::{Access, View, is_kind};
use waystream_domain::{Actor, AuditRecord, Timestamp, UserId};
use waystream_log::Log;
use waystream_log::audit::{AuditFilter, newest};

/// Changes fetched at a time.
const PAGE: usize = 500;

/// Which changes, on the way to the process that has the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditOrder {
    /// From then on.
    pub since: Option<Timestamp>,
    /// Only of this kind of thing.
    pub kind: Option<String>,
    /// Only those by this user, and sign-ins as this user that failed.
    pub user: Option<UserId>,
    /// At most so many.
    pub limit: usize,
    /// One JSON object a line.
    pub json: bool,
}

/// `waystream audit`.
pub async fn run(args: &AuditArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if let Some(kind) = &args.kind {
        anyhow::ensure!(is_kind(kind), "nothing is a {kind:?}");
    }
    let user = args.user.as_ref().map(|user| user.parse().with_context(|| format!("{user:?} is not a user")));
    let order = AuditOrder {
        since: args.since.as_deref().map(time).transpose()?,
        kind: args.kind.clone(),
        user: user.transpose()?,
        limit: args.limit as usize,
        json: args.json,
    };
    let said = with_history(&settings(&args.run)?, |history| async move { history.changes(&order).await }).await?;
    Ok(out.write_all(said.as_bytes())?)
}

/// The newest changes, newest first, a line each.
pub async fn tell(log: &dyn Log, order: &AuditOrder) -> anyhow::Result<String> {
    let mut text = String::new();
    if !order.json {
        text += "time\twho\tfrom\tchange\tthing\tdifference\n";
    }
    let (kind, user) = (order.kind.clone(), order.user.clone());
    let mut filter = AuditFilter { kind, user, from: order.since, ..AuditFilter::default() };
    let mut left = order.limit;
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = newest(log, &filter).await.context("could not read who changed what")?;
        left -= page.records.len();
        for (_, record) in &page.records {
            match order.json {
                true => writeln!(text, "{}", serde_json::to_string(record)?)?,
                false => writeln!(text, "{}", line(record))?,
            }
        }
        match page.before {
            Some(before) => filter.before = Some(before),
            None => break,
        }
    }
    Ok(text)
}

fn line(record: &AuditRecord) -> String {
    let (who, address) = who(&record.by);
    let difference = difference(record.before.as_ref(), record.after.as_ref());
    format!("{}\t{who}\t{address}\t{}\t{}\t{difference}", record.at, record.change.name(), record.key)
}

fn who(by: &Actor) -> (String, String) {
    let from = |address: &Option<std::net::IpAddr>| address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    match by {
        Actor::User { user, via, address, .. } => {
            let via = match via {
                Access::Session { session } => format!("session {session}"),
                Access::Token { token } => format!("token {token}"),
                Access::Password => "password".to_owned(),
                Access::Link => "link".to_owned(),
                Access::Oidc => "OpenID provider".to_owned(),
            };
            (format!("{user} ({via})"), from(address))
        }
        Actor::Nobody { address } => ("nobody known".to_owned(), from(address)),
        Actor::CommandLine => ("command line".to_owned(), "-".to_owned()),
        Actor::Program { doing } => (format!("waystream ({doing})"), "-".to_owned()),
        Actor::Connectors => ("a device".to_owned(), "-".to_owned()),
    }
}

/// Fields that are another than before, as JSON; of what is new or gone all that there are.
fn difference(before: Option<&View>, after: Option<&View>) -> String {
    let field =
        |view: Option<&View>, name: &str| view.and_then(|view| view.as_json().get(name)).filter(|v| !v.is_null()).cloned();
    let names = |view: Option<&View>| -> Vec<String> {
        let fields = view.and_then(|view| view.as_json().as_object());
        fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect()
    };
    let mut all = names(after);
    for name in names(before) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let told = all.into_iter().filter_map(|name| {
        let shown = |value: Value| value.to_string();
        match (field(before, &name), field(after, &name)) {
            (Some(was), Some(is)) if was == is => None,
            (Some(was), Some(is)) => Some(format!("{name} {} → {}", shown(was), shown(is))),
            (None, Some(is)) => Some(format!("{name} {}", shown(is))),
            (Some(was), None) => Some(format!("{name} {} → nothing", shown(was))),
            (None, None) => None,
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::catalog::{Device, Fleet, Role, User};
    use waystream_domain::{Catalog, CatalogEdit, CatalogEntry};

    #[test]
    fn a_line_tells_what_differs() {
        let fleet = Fleet {
            id: "north".parse().expect("an id"),
            organisation: "ours".parse().expect("an id"),
            name: "North".into(),
            rules: Default::default(),
        };
        let van = |name: &str| {
            let (id, fleet) = ("van".parse().expect("an id"), "north".parse().expect("an id"));
            CatalogEntry::Device(Device { id, fleet, name: name.into() })
        };
        let mut known = Catalog::default();
        known.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
        let mut told = |by: Actor, edit: CatalogEdit| {
            let records = AuditRecord::of_edits(Timestamp::default(), &by, std::slice::from_ref(&edit), &known);
            known.apply(edit);
            line(&records[0])
        };
        let token = Access::Token { token: "t".parse().expect("an id") };
        let anna = Actor::User {
            user: "anna".parse().expect("an id"),
            organisation: "ours".parse().expect("an id"),
            via: token,
            address: Some([192, 0, 2, 1].into()),
        };
        assert_eq!(
            told(Actor::Connectors, CatalogEdit::Put(van("Van"))),
            "1970-01-01T00:00:00.000Z\ta device\t-\tput\tdevice/van\tid \"van\", fleet \"north\", name \"Van\""
        );
        assert_eq!(
            told(anna, CatalogEdit::Put(van("Truck"))),
            "1970-01-01T00:00:00.000Z\tanna (token t)\t192.0.2.1\tput\tdevice/van\tname \"Van\" → \"Truck\""
        );
        let user = |password_hash: Option<String>| {
            let (id, organisation) = ("anna".parse().expect("an id"), "ours".parse().expect("an id"));
            CatalogEdit::Put(CatalogEntry::User(User { id, organisation, role: Role::Owner, password_hash, preferences: None }))
        };
        told(Actor::CommandLine, user(Some("a hash".into())));
        let reset = told(Actor::CommandLine, user(None));
        assert!(reset.ends_with("\tpassword_changed\tuser/anna\tpassword \"hidden\" → nothing"), "{reset}");
        let gone = told(Actor::CommandLine, CatalogEdit::Remove(van("Truck").key()));
        assert!(gone.ends_with("\tcommand line\t-\tremoved\tdevice/van\tid \"van\" → nothing, fleet \"north\" → nothing, name \"Truck\" → nothing"), "{gone}");
    }
}
