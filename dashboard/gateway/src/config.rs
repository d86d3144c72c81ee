//! Settings of the gateway.

use crate::listener::ListenerLimits;
use crate::live::LinkLimits;
use crate::wire::TileSource;
use std::net::SocketAddr;
use std::time::Duration;

/// Settings. The default is a dashboard on this machine only, with OpenStreetMap's tiles.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Origins of pages that may speak to us beside our own, as `https://fleet.example.org`: for proxies that change `Host`.
    pub origins: Vec<String>,
    /// Browsers reach us over TLS (a proxy's): cookies are marked so.
    pub behind_tls: bool,
    /// Of the page.
    pub title: String,
    /// Map tiles; `None`: coastlines only, nothing is fetched from outside.
    pub tiles: Option<TileSource>,
    /// When a vehicle counts as late and as offline.
    pub link: LinkLimits,
    /// A socket that has not acknowledged a frame, or has taken no message, for so long is cut.
    pub cut_after: Duration,
    /// Redis, `redis://host:port`, over which gateways of one system pass notices; `None`: this one is alone.
    pub redis: Option<String>,
    /// What a connection may cost.
    pub limits: ListenerLimits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            origins: Vec::new(),
            behind_tls: false,
            title: "waystream".into(),
            tiles: Some(TileSource {
                url: "https://tile.openstreetmap.org/{z}/{x}/{y}.png".into(),
                attribution: "© <a href=\"https://www.openstreetmap.org/copyright\">OpenStreetMap</a> contributors".into(),
                max_zoom: 19,
            }),
            link: LinkLimits::default(),
            cut_after: Duration::from_secs(30),
            redis: None,
            limits: ListenerLimits::default(),
        }
    }
}
