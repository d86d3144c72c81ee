//! Names of the gateway's metrics.

/// Connections ended because a write made no progress.
pub const WRITE_STALLS: &str = "waystream_gateway_write_stalls_total";
/// Connections turned away, because their address had all that it may have.
pub const TURNED_AWAY: &str = "waystream_gateway_connections_turned_away_total";
/// Sockets that watch.
pub const SOCKETS: &str = "waystream_gateway_sockets";
/// Sockets ended by us, by `reason`.
pub const SOCKETS_CUT: &str = "waystream_gateway_sockets_cut_total";
/// Frames handed to sockets.
pub const FRAMES_SENT: &str = "waystream_gateway_frames_sent_total";
/// Frames that were merged into a later one, because the socket was slow.
pub const FRAMES_MERGED: &str = "waystream_gateway_frames_merged_total";
/// Messages to or from other gateways that were dropped, because they came too fast or Redis was away for too long.
pub const NODE_MESSAGES_LOST: &str = "waystream_gateway_node_messages_lost_total";
/// Open replays.
pub const REPLAYS: &str = "waystream_gateway_replays";
/// Sign-ins by the OpenID provider that have come to an end, by `outcome`: `signed_in`, `unknown_user`, `unreachable` and others.
pub const OIDC_SIGN_INS: &str = "waystream_gateway_oidc_sign_ins_total";
/// What was refused because it is too much, by `reason`: see [`Refusal`].
pub const REFUSALS: &str = "waystream_gateway_refusals_total";

/// Why something is refused that could be answered otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A request, or what it asks for, is too large (413).
    TooLarge,
    /// A session, token or address asks too often (429).
    Rate,
    /// Passwords, codes or links were wrong too often (429).
    Guesses,
    /// All who may work on this do so already (429).
    Busy,
    /// All places are taken: of connections (they wait), of sockets (or the organisation has its share), or of those who watch a shared vehicle (429).
    Full,
    /// There are as many replays as there may be.
    Replays,
}

/// Counts one.
pub fn refused(refusal: Refusal) {
    let reason = match refusal {
        Refusal::TooLarge => "too_large",
        Refusal::Rate => "rate",
        Refusal::Guesses => "guesses",
        Refusal::Busy => "busy",
        Refusal::Full => "full",
        Refusal::Replays => "replays",
    };
    metrics::counter!(REFUSALS, "reason" => reason).increment(1);
}
