//! What the wires of SQL clients share: who may come in, and the tables that everybody knows of before anybody has asked.

use crate::{Scope, SqlEngine, SqlError};
use datafusion::arrow::datatypes::SchemaRef;
use std::time::Duration;
use waystream_domain::scram::ScramKeys;
use waystream_domain::{Catalog, TokenId, UserId};

/// How often a token is looked at while something runs, or nothing is asked.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Knows who may come in, and what they may see. Asked at every statement, so it must be quick.
pub trait Door: Send + Sync + 'static {
    /// What is kept of every token that the user can sign in with now; nothing if there is no such user.
    fn keys(&self, user: &UserId) -> Vec<(TokenId, ScramKeys)>;

    /// Whose token it is whose secret this is, and which; `None` if it opens nothing now.
    fn owner(&self, secret: &str) -> Option<(UserId, TokenId)>;

    /// What a token lets its user see now; `None` once it is no longer valid.
    fn scope(&self, token: &TokenId) -> Option<Scope>;
}

/// Waits until a token is no longer valid.
pub(crate) async fn token_ended(door: &dyn Door, token: &TokenId) {
    while door.scope(token).is_some() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl SqlEngine {
    /// Names and columns of the tables that everybody has.
    pub(crate) async fn tables(&self) -> Result<Vec<(String, SchemaRef)>, SqlError> {
        let core = self.core.clone();
        let organisation = "nobody".parse().map_err(|_| SqlError::invalid("not an id"))?;
        let nobody = Scope::of_organisation(organisation, &Catalog::default());
        let mut answer = self.spawn(Some(self.deadline()), move |out| async move {
            let tables = core.tables(&nobody).await?;
            out.send(Ok(tables)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Err(SqlError::Store("the tables have gone".into())))
    }
}
