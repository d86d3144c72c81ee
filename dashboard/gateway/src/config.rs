//! Settings of the gateway.

use crate::listener::ListenerLimits;
use crate::live::{DetailLimits, LinkLimits};
use crate::nodes::RedisConfig;
use crate::oidc::OidcConfig;
use crate::wire::TileSource;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use waystream_domain::OrganisationLimits;
use waystream_domain::catalog::SessionLimits;
use waystream_tls::{Encryption, TlsFiles};

/// Settings. The default is a dashboard on this machine only, with OpenStreetMap's tiles.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Origins of pages that may speak to us beside our own, as `https://fleet.example.org`: for proxies that change `Host`.
    pub origins: Vec<String>,
    /// TLS of our own; who comes without is sent to the same address with it.
    pub tls: Option<TlsFiles>,
    /// Browsers reach us over TLS (a proxy's): cookies are marked so.
    pub behind_tls: bool,
    /// Listen where others can reach us though there is no TLS of any kind.
    pub insecure: bool,
    /// Of the page.
    pub title: String,
    /// Map tiles; `None`: coastlines only, nothing is fetched from outside.
    pub tiles: Option<TileSource>,
    /// A PMTiles archive that we hand out ourselves, at [`crate::TILES_PATH`].
    pub tiles_file: Option<PathBuf>,
    /// When a vehicle counts as late and as offline.
    pub link: LinkLimits,
    /// From how many vehicles on a browser is not told of each.
    pub detail: DetailLimits,
    /// A socket that has not acknowledged a frame, or has taken no message, for so long is cut.
    pub cut_after: Duration,
    /// Redis, over which gateways of one system pass notices; `None`: this one is alone.
    pub redis: Option<RedisConfig>,
    /// A provider by which people may sign in, besides passwords and links.
    pub oidc: Option<OidcConfig>,
    /// Whether operators on this machine may ask here too how the process does: where there is no port for that.
    pub operators: bool,
    /// REST requests that a session or token may make, or an address that has shown neither; for some seconds more at once. Opening a
    /// socket without having signed in counts as several, apart from the others. 0: as many as they like.
    pub requests_per_s: u32,
    /// How long people stay signed in, and in how many browsers.
    pub sessions: SessionLimits,
    /// How much one organisation may have.
    pub most: OrganisationLimits,
    /// What a connection may cost.
    pub limits: ListenerLimits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            origins: Vec::new(),
            tls: None,
            behind_tls: false,
            insecure: false,
            title: "waystream".into(),
            tiles: Some(TileSource {
                url: "https://tile.openstreetmap.org/{z}/{x}/{y}.png".into(),
                attribution: "© <a href=\"https://www.openstreetmap.org/copyright\">OpenStreetMap</a> contributors".into(),
                archive: false,
                max_zoom: 19,
            }),
            tiles_file: None,
            link: LinkLimits::default(),
            detail: DetailLimits::default(),
            cut_after: Duration::from_secs(30),
            redis: None,
            oidc: None,
            operators: true,
            requests_per_s: 500,
            sessions: SessionLimits::default(),
            most: OrganisationLimits::default(),
            limits: ListenerLimits::default(),
        }
    }
}

impl GatewayConfig {
    /// A proxy's TLS counts; who goes past the proxy to us has to go without, so nobody is turned away for it.
    pub(crate) fn encryption(&self) -> Encryption {
        Encryption { files: self.tls.clone(), insecure: self.insecure || self.behind_tls }
    }

    /// Whether browsers see an address that begins with `https:`.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some() || self.behind_tls
    }
}
