//! Share links: who shows one is nobody, and sees one vehicle until the link ends.

use super::identity::bearer;
use super::throttle::Throttle;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use waystream_domain::{Catalog, CatalogEdit, CatalogKey, DeviceId, OrganisationId, ShareLink, ShareLinkId, Timestamp};
use waystream_log::catalog::CatalogHandle;
use waystream_sql::Scope;
use waystream_tls::sender;

/// Browsers that watch by one link at a time, and by all of them: the rest of the gateway has places left.
const MAX_OF_LINK: usize = 50;
const MAX_IN_ALL: usize = 1_000;
/// The wall clock may be set meanwhile: it is looked at this often whether the end has come.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The one vehicle that a share link opens. Made by [`Shares::check`] only, so whoever holds one has shown the link's secret; and it is
/// no identity, so nothing else opens.
#[derive(Debug, Clone)]
pub(crate) struct SharedVehicle(Arc<ShareLink>);

impl SharedVehicle {
    /// Whose history its way is looked up in.
    pub(crate) fn scope(&self, catalog: &Catalog) -> Scope {
        Scope::of_organisation(self.organisation().clone(), catalog)
    }

    /// Which.
    pub(crate) fn device(&self) -> &DeviceId {
        &self.0.device
    }

    /// Whose.
    pub(crate) fn organisation(&self) -> &OrganisationId {
        &self.0.organisation
    }

    /// By which link.
    pub(crate) fn link(&self) -> &ShareLinkId {
        &self.0.id
    }

    /// No way from before then is shown.
    pub(crate) fn starts_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// Nothing is shown from then on.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Whether the link still opens it.
    pub(crate) fn is_open(&self, catalog: &Catalog, now: Timestamp) -> bool {
        catalog.open_share_link(&self.0.id, now).is_some_and(|link| link.sha256 == self.0.sha256)
    }

    /// What it is called for who sees it: the link's label, or the vehicle's name. A vehicle without a name is called by its id, which
    /// is not shared.
    pub(crate) fn name(&self, catalog: &Catalog) -> Option<String> {
        let named = || catalog.devices.get(self.device()).map(|d| d.name.clone()).filter(|name| name != self.device().as_str());
        self.0.label.clone().or_else(named)
    }

    /// Whether an edit may have ended it.
    fn may_end_by(&self, edit: &CatalogEdit) -> bool {
        let key = match edit {
            CatalogEdit::Put(entry) => entry.key(),
            CatalogEdit::Remove(key) => key.clone(),
        };
        match key {
            CatalogKey::ShareLink(link) => link == self.0.id,
            CatalogKey::Device(device) => device == self.0.device,
            CatalogKey::User(user) => user == self.0.made_by,
            CatalogKey::Fleet(_) | CatalogKey::Organisation(_) => true,
            _ => false,
        }
    }
}

/// Why nothing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotShared {
    /// There is no such link, or it has ended: nobody is told which.
    Nothing,
    /// Too much was guessed: so many milliseconds to wait.
    Wait(i64),
}

/// Checks share links.
pub(crate) struct Shares {
    catalog: CatalogHandle,
    /// Of its own: who guesses links keeps nobody from signing in.
    throttle: Throttle,
    watching: Arc<Mutex<Watching>>,
}

#[derive(Default)]
struct Watching {
    of_link: HashMap<ShareLinkId, usize>,
    in_all: usize,
}

/// A place among those who watch; given back when dropped.
pub(crate) struct SharePlace {
    watching: Arc<Mutex<Watching>>,
    link: ShareLinkId,
}

impl Drop for SharePlace {
    fn drop(&mut self) {
        let mut watching = lock(&self.watching);
        watching.in_all = watching.in_all.saturating_sub(1);
        if let Some(count) = watching.of_link.get_mut(&self.link) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                watching.of_link.remove(&self.link);
            }
        }
    }
}

impl Shares {
    /// Of this catalog.
    pub(crate) fn new(catalog: CatalogHandle) -> Self {
        Self { catalog, throttle: Throttle::default(), watching: Arc::default() }
    }

    /// The vehicle that these headers open. The secret comes as `Authorization: Bearer`, which nobody writes into logs; cookies say nothing.
    ///
    /// Guesses at one link make everybody wait who shows that one. Guesses from one address make only further wrong ones from there
    /// wait: behind a proxy all have one address.
    pub(crate) fn check(&self, headers: &HeaderMap, address: IpAddr, now: Timestamp) -> Result<SharedVehicle, NotShared> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err(NotShared::Nothing);
        }
        let text = bearer(headers).unwrap_or_default();
        let claimed = ShareLink::id_of(text);
        let found = {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            let open = claimed.as_ref().and_then(|id| catalog.open_share_link(id, now));
            open.filter(|link| link.is(text)).cloned()
        };
        // What is no link at all counts for its address alone.
        let account = claimed.map_or_else(|| sender(address).to_string(), |id| id.to_string());
        if let Some(link) = found {
            self.throttle.check_account(&account, now).map_err(NotShared::Wait)?;
            self.throttle.succeeded(&account);
            return Ok(SharedVehicle(link));
        }
        self.throttle.check(&account, address, now).map_err(NotShared::Wait)?;
        self.throttle.failed(&account, address, now);
        tracing::info!(%address, "a share link that is none, or has ended");
        Err(NotShared::Nothing)
    }

    /// A place to watch; none if there are too many who do.
    pub(crate) fn enter(&self, shared: &SharedVehicle) -> Option<SharePlace> {
        let mut watching = lock(&self.watching);
        let of_link = watching.of_link.get(shared.link()).copied().unwrap_or(0);
        if of_link >= MAX_OF_LINK || watching.in_all >= MAX_IN_ALL {
            return None;
        }
        watching.in_all += 1;
        watching.of_link.insert(shared.link().clone(), of_link + 1);
        Some(SharePlace { watching: Arc::clone(&self.watching), link: shared.link().clone() })
    }

    /// Returns at once when the link has ended: by its time, by an edit made at whatever gateway, or with the catalog.
    pub(crate) async fn ended(&self, shared: &SharedVehicle) {
        // Before the first look: no edit is missed between the two.
        let mut edits = self.catalog.subscribe();
        loop {
            let now = crate::now();
            let is_open = {
                let catalog = self.catalog.shared();
                let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
                shared.is_open(&catalog, now)
            };
            if !is_open {
                return;
            }
            let left = u64::try_from(shared.ends_at().millis_since(now)).unwrap_or(0);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(left).min(LOOK_AGAIN)) => {}
                is_followed = touched(&mut edits, shared) => if !is_followed { return },
            }
        }
    }
}

/// Waits for an edit that may have ended a link. False: there will be none any more.
async fn touched(edits: &mut broadcast::Receiver<Arc<CatalogEdit>>, shared: &SharedVehicle) -> bool {
    loop {
        match edits.recv().await {
            Ok(edit) if !shared.may_end_by(&edit) => {}
            // Too many edits at once to follow one by one: any of them may have.
            Ok(_) | Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

fn lock(watching: &Mutex<Watching>) -> MutexGuard<'_, Watching> {
    watching.lock().unwrap_or_else(PoisonError::into_inner)
}
