//! Which partitions of a group are this process's, where several processes share the work of a group.

use crate::LogError;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// Partitions that are this process's for the time being: of `positions`, and the same numbers of the other topics whose key is a
/// device.
#[derive(Debug, Clone)]
pub struct Share {
    /// In order; none if there are more processes than partitions.
    pub partitions: Vec<u32>,
    /// Done when another share is due: finish what has been read, commit it, drop the rest, and ask for the new share.
    pub ends: CancellationToken,
}

/// This process as a member of a group. Dropping it leaves the group.
#[async_trait]
pub trait Membership: Send {
    /// Gives back the share that was held before and waits for the one that holds from now on. Nobody else holds any of it, and
    /// commits of partitions that have been taken away from this process fail.
    async fn share(&mut self) -> Result<Share, LogError>;
}

/// The only member: every partition, for ever.
pub(crate) struct Alone {
    pub(crate) partitions: u32,
}

#[async_trait]
impl Membership for Alone {
    async fn share(&mut self) -> Result<Share, LogError> {
        Ok(Share { partitions: (0..self.partitions).collect(), ends: CancellationToken::new() })
    }
}
