//! Which users of a Traccar server come along.

use super::server::Refused;
use super::{LeftOut, Source};
use crate::app::organisation;
use hyper::StatusCode;
use std::collections::{HashMap, HashSet};
use std::iter;
use waystream_connectors::files::traccar::{self, Device, Group};
use waystream_domain::catalog::{Role, User};

/// Numbers of what users are linked to, by the users' numbers.
type Links = HashMap<i64, HashSet<i64>>;

/// Those who come along. Here everybody sees all devices of the organisation, so who sees only some of them there is left out, unless
/// `all` may come.
pub(super) async fn read(
    source: &Source,
    (groups, devices): (&[Group], &[Device]),
    all: bool,
    left_out: &mut LeftOut,
) -> anyhow::Result<Vec<User>> {
    let users = match source.read("users", false, traccar::user, left_out).await {
        Err(error) if is_refused(&error) => {
            left_out.tell("users", "only an administrator's token is told of them");
            return Ok(Vec::new());
        }
        users => users?,
    };
    let seen = Seen::of(source, groups, devices, left_out).await?;
    let now = crate::now();
    let mut taken = Vec::new();
    for user in users {
        if user.closed {
            left_out.tell("users", format_args!("{} may not sign in there: disabled, or for a while only", user.id));
            continue;
        }
        if let Some(expired) = user.expires_at.filter(|at| *at <= now) {
            left_out.tell("users", format_args!("{} may not sign in there since {expired}", user.id));
            continue;
        }
        if !all && user.role != Role::Owner {
            let (some, of) = (seen.by(user.key).await?, devices.len());
            if some < of {
                left_out.tell("users", format_args!("{} sees {some} of {of} devices there, and would see all here", user.id));
                continue;
            }
        }
        taken.push(User { id: user.id, organisation: organisation(), role: user.role, password_hash: None, preferences: None });
    }
    Ok(taken)
}

/// Whether the server knows who asks, and does not tell.
fn is_refused(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN].contains(&refused.status))
}

/// How one learns which devices a user sees.
struct Seen<'a> {
    source: &'a Source,
    devices: &'a [Device],
    parents: HashMap<i64, i64>,
    to_devices: Links,
    to_groups: Links,
}

impl<'a> Seen<'a> {
    async fn of(source: &'a Source, groups: &[Group], devices: &'a [Device], left_out: &mut LeftOut) -> anyhow::Result<Self> {
        let parents = groups.iter().filter_map(|group| Some((group.key, group.parent?))).collect();
        let (mut to_devices, mut to_groups) = (Links::new(), Links::new());
        if let Source::Tables(_) = source {
            for (table, column, links) in
                [("user_device", "deviceid", &mut to_devices), ("user_group", "groupid", &mut to_groups)]
            {
                for (user, thing) in source.read(table, false, |row| traccar::link(row, column), left_out).await? {
                    links.entry(user).or_default().insert(thing);
                }
            }
        }
        Ok(Self { source, devices, parents, to_devices, to_groups })
    }

    /// How many of the devices this user sees: those that are linked, and those in groups that are.
    async fn by(&self, user: i64) -> anyhow::Result<usize> {
        let (devices, groups) = match self.source {
            Source::Tables(_) => {
                let linked = |links: &Links| links.get(&user).cloned().unwrap_or_default();
                (linked(&self.to_devices), linked(&self.to_groups))
            }
            Source::Server { .. } => (self.asked("devices", user).await?, self.asked("groups", user).await?),
        };
        let sees = |device: &Device| devices.contains(&device.key) || self.around(device).any(|group| groups.contains(&group));
        Ok(self.devices.iter().filter(|device| sees(device)).count())
    }

    /// What is linked to a user itself, by the server.
    async fn asked(&self, table: &str, user: i64) -> anyhow::Result<HashSet<i64>> {
        let Source::Server { server, .. } = self.source else { return Ok(HashSet::new()) };
        let user = user.to_string();
        let rows = server.rows(&format!("api/{table}"), &[("userId", user.as_str())]).await?;
        Ok(rows.iter().filter_map(|row| row.text("id")?.parse().ok()).collect())
    }

    /// The group of a device, the one that this is in, and so on. A table may say that two are in each other.
    fn around(&self, device: &Device) -> impl Iterator<Item = i64> {
        iter::successors(device.group, |group| self.parents.get(group).copied()).take(self.parents.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_group_shows_the_devices_of_the_groups_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, csv: &str| std::fs::write(folder.path().join(name), csv).unwrap();
        write("tc_groups.csv", "id,name,groupid\n1,All,\n2,Vans,1\n3,Round,4\n4,And round,3\n");
        write("tc_devices.csv", "id,name,uniqueid,groupid\n1,A,van-a,2\n2,B,van-b,1\n3,C,van-c,\n4,D,van-d,3\n");
        write("tc_user_group.tsv", "userid\tgroupid\n7\t1\n8\t2\n");
        write("tc_user_device.csv", "userid,deviceid\n7,3\n8,99\n");
        write("tc_users.csv", "id,email,administrator\n6,boss@example.org,t\n7,office@example.org,f\n8,van@example.org,f\n");
        let source = Source::Tables(folder.path().to_owned());
        let mut left_out = LeftOut::default();
        let groups = source.read("groups", false, traccar::group, &mut left_out).await.unwrap();
        let devices = source.read("devices", true, traccar::device, &mut left_out).await.unwrap();
        let seen = Seen::of(&source, &groups, &devices, &mut left_out).await.unwrap();
        assert_eq!((seen.by(7).await.unwrap(), seen.by(8).await.unwrap(), seen.by(9).await.unwrap()), (3, 1, 0));
        let names = |users: Vec<User>| users.into_iter().map(|user| user.id.to_string()).collect::<Vec<_>>();
        let few = read(&source, (&groups, &devices), false, &mut left_out).await.unwrap();
        assert_eq!((names(few), left_out.0), (vec!["boss@example.org".to_owned()], 2));
        let all = read(&source, (&groups, &devices), true, &mut left_out).await.unwrap();
        assert_eq!((names(all).len(), left_out.0), (3, 2));
    }
}
