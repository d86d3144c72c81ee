//! `waystream user` and `waystream organisation`: who may come in, for who has a shell.

mod arguments;

pub use arguments::{OrganisationAction, OrganisationArgs, UserAction, UserArgs};

use crate::access::with_history;
use crate::commands::settings;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, PoisonError};
use waystream_domain::catalog::{Fleet, Organisation, Role, User};
use waystream_domain::{Actor, Catalog, CatalogEdit, CatalogEntry, FleetId, OrganisationId, SignInLink, UserId};
use waystream_log::catalog::CatalogHandle;

/// How long a link can be used that is made here.
const LINK_MS: i64 = 3 * 24 * 3_600 * 1_000;

/// What to do with people, on the way to the process that has the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeopleOrder {
    /// Show all organisations.
    Organisations,
    /// Make one, with a fleet to begin with.
    CreateOrganisation {
        /// Its key.
        id: OrganisationId,
        /// For people.
        name: String,
    },
    /// Show everybody.
    Users,
    /// Add somebody.
    CreateUser {
        /// Sign-in name.
        id: UserId,
        /// Whose.
        organisation: OrganisationId,
        /// What may be done.
        role: Role,
    },
    /// Say what somebody may do.
    ChangeRole {
        /// Who.
        id: UserId,
        /// What may be done.
        role: Role,
    },
    /// Let somebody go.
    RemoveUser {
        /// Who.
        id: UserId,
    },
    /// A link that signs somebody in once.
    Link {
        /// Whom.
        id: UserId,
    },
}

/// `waystream user`.
pub async fn run_users(args: &UserArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let user = |id: String| id.parse::<UserId>().with_context(|| format!("{id:?} can't be a user's name"));
    let (run, order) = match args.action.clone() {
        UserAction::List { run } => (run, PeopleOrder::Users),
        UserAction::Create { run, id, organisation, role } => {
            let organisation = organisation.parse().with_context(|| format!("{organisation:?} is not an organisation"))?;
            (run, PeopleOrder::CreateUser { id: user(id)?, organisation, role: role.into() })
        }
        UserAction::Role { run, id, role } => (run, PeopleOrder::ChangeRole { id: user(id)?, role: role.into() }),
        UserAction::Remove { run, id } => (run, PeopleOrder::RemoveUser { id: user(id)? }),
        UserAction::Link { run, id } => (run, PeopleOrder::Link { id: user(id)? }),
    };
    let said = with_history(&settings(&run)?, |history| async move { history.people(&order).await }).await?;
    Ok(out.write_all(said.as_bytes())?)
}

/// `waystream organisation`.
pub async fn run_organisations(args: &OrganisationArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (run, order) = match args.action.clone() {
        OrganisationAction::List { run } => (run, PeopleOrder::Organisations),
        OrganisationAction::Create { run, id, name } => {
            let key: OrganisationId = id.parse().with_context(|| format!("{id:?} can't be the key of an organisation"))?;
            (run, PeopleOrder::CreateOrganisation { id: key, name: name.unwrap_or(id) })
        }
    };
    let said = with_history(&settings(&run)?, |history| async move { history.people(&order).await }).await?;
    Ok(out.write_all(said.as_bytes())?)
}

/// Carries it out, and says for people what came of it.
pub async fn carry_out(catalog: &CatalogHandle, order: &PeopleOrder) -> anyhow::Result<String> {
    let (edits, said) = {
        let shared = catalog.shared();
        let known = shared.read().unwrap_or_else(PoisonError::into_inner);
        decide(&known, order)?
    };
    if !edits.is_empty() {
        catalog.edit(&Actor::CommandLine, edits).await?;
    }
    Ok(said)
}

fn decide(catalog: &Catalog, order: &PeopleOrder) -> anyhow::Result<(Vec<CatalogEdit>, String)> {
    let user = |id: &UserId| -> anyhow::Result<Arc<User>> {
        catalog.users.get(id).cloned().with_context(|| format!("there is no user {id}"))
    };
    Ok(match order.clone() {
        PeopleOrder::Organisations => {
            let mut text = "id\tname\tfleets\tusers\n".to_owned();
            for o in catalog.organisations.values() {
                let users = catalog.users.values().filter(|user| user.organisation == o.id).count();
                writeln!(text, "{}\t{}\t{}\t{users}", o.id, o.name, catalog.fleets_of(&o.id).count())?;
            }
            (Vec::new(), text)
        }
        PeopleOrder::CreateOrganisation { id, name } => {
            anyhow::ensure!(!catalog.organisations.contains_key(&id), "there is an organisation {id} already");
            let fleet = FleetId::new(id.as_str())?;
            anyhow::ensure!(!catalog.fleets.contains_key(&fleet), "there is a fleet {fleet} already, which would be its first");
            let said = format!("organisation {id} with the fleet {fleet}\n");
            let organisation = Organisation { id: id.clone(), name: name.clone() };
            let fleet = Fleet { id: fleet, organisation: id, name, rules: Default::default() };
            let entries = [CatalogEntry::Organisation(organisation), CatalogEntry::Fleet(fleet)];
            (entries.map(CatalogEdit::Put).to_vec(), said)
        }
        PeopleOrder::Users => {
            let mut text = "user\torganisation\trole\tpassword\n".to_owned();
            for u in catalog.users.values() {
                let password = if catalog.password_of(u).is_some() { "yes" } else { "no" };
                writeln!(text, "{}\t{}\t{}\t{password}", u.id, u.organisation, format!("{:?}", u.role).to_lowercase())?;
            }
            (Vec::new(), text)
        }
        PeopleOrder::CreateUser { id, organisation, role } => {
            anyhow::ensure!(!catalog.users.contains_key(&id), "there is a user {id} already");
            anyhow::ensure!(catalog.organisations.contains_key(&organisation), "there is no organisation {organisation}");
            let user = User { id, organisation, role, password_hash: None, preferences: None };
            // What somebody of this name may have left is not this one's.
            let mut edits = catalog.belongings_removal(&user.id);
            let (link, said) = link(catalog, &user);
            edits.push(CatalogEdit::Put(CatalogEntry::User(user)));
            edits.extend(link);
            (edits, said)
        }
        PeopleOrder::ChangeRole { id, role } => {
            let changed = User { role, ..user(&id)?.as_ref().clone() };
            (vec![CatalogEdit::Put(CatalogEntry::User(changed))], format!("{id} is {}\n", format!("{role:?}").to_lowercase()))
        }
        PeopleOrder::RemoveUser { id } => (catalog.user_removal(&user(&id)?.id), format!("{id} may not come in any more\n")),
        PeopleOrder::Link { id } => link(catalog, user(&id)?.as_ref()),
    })
}

/// Alone on its line, for programs. The dashboard's address stands before it: this process may not know by which others reach it.
fn link(catalog: &Catalog, user: &User) -> (Vec<CatalogEdit>, String) {
    let now = crate::now();
    let organisation = Some(user.organisation.clone());
    let (link, secret) = SignInLink::issue(user.id.clone(), organisation, now.plus_millis(LINK_MS), &rand::random());
    (catalog.link_edits(link, now), format!("/sign-in?token={}\n", secret.as_str()))
}
