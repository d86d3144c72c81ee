//! `waystream token`: API tokens for who has a shell and no browser.

use crate::access::with_history;
use crate::cli::{TokenAction, TokenArgs};
use crate::commands::settings;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::PoisonError;
use waystream_domain::{
    Actor, ApiToken, CatalogEdit, CatalogEntry, CatalogKey, NewToken, Timestamp, TokenId, TokenScope, UserId,
};
use waystream_log::catalog::CatalogHandle;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// What to do with tokens, on the way to the process that has the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrder {
    /// Make one.
    Create {
        /// For whom.
        user: UserId,
        /// For people.
        name: String,
        /// For what.
        scopes: BTreeSet<TokenScope>,
        /// No longer valid from then on.
        expires_at: Option<Timestamp>,
    },
    /// Show all.
    List,
    /// Remove one.
    Revoke {
        /// Which.
        id: TokenId,
    },
}

/// `waystream token`.
pub async fn run(args: &TokenArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (run, order) = match args.action.clone() {
        TokenAction::Create { run, user, name, scopes, days } => {
            let expires_at = days.map(|days| crate::now().plus_millis(i64::from(days) * DAY_MS));
            let scopes = scopes.into_iter().map(Into::into).collect();
            let user = user.parse().with_context(|| format!("{user:?} is not a user"))?;
            (run, TokenOrder::Create { user, name, scopes, expires_at })
        }
        TokenAction::List { run } => (run, TokenOrder::List),
        TokenAction::Revoke { run, id } => {
            let id = id.parse().with_context(|| format!("{id:?} is not the id of a token"))?;
            (run, TokenOrder::Revoke { id })
        }
    };
    let said = with_history(&settings(&run)?, |history| async move { history.tokens(&order).await }).await?;
    Ok(out.write_all(said.as_bytes())?)
}

/// Carries it out, and says for people what came of it.
pub async fn carry_out(catalog: &CatalogHandle, order: &TokenOrder) -> anyhow::Result<String> {
    match order.clone() {
        TokenOrder::Create { user, name, scopes, expires_at } => {
            let shared = catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner).users.contains_key(&user);
            anyhow::ensure!(known, "there is no user {user}");
            anyhow::ensure!(!scopes.is_empty(), "a token without a scope is of no use");
            let new = NewToken { user, name, scopes, created_at: crate::now(), expires_at };
            // Off the runtime: the keys for SCRAM are hashed thousands of times.
            let (token, secret) = tokio::task::spawn_blocking(move || ApiToken::issue(new, &rand::random())).await?;
            catalog.edit(&Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::ApiToken(token))]).await?;
            // Alone on its line, for programs; nobody can have it a second time.
            Ok(format!("{}\n", secret.as_str()))
        }
        TokenOrder::List => {
            let shared = catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            let mut text = "id\tuser\tname\tscopes\tcreated\texpires\n".to_owned();
            for t in catalog.api_tokens.values() {
                let scopes: Vec<_> = t.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
                let end = t.expires_at.map_or("never".to_owned(), |end| end.to_string());
                writeln!(text, "{}\t{}\t{}\t{}\t{}\t{end}", t.id, t.user, t.name, scopes.join(","), t.created_at)?;
            }
            Ok(text)
        }
        TokenOrder::Revoke { id } => {
            let shared = catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner).api_tokens.contains_key(&id);
            anyhow::ensure!(known, "there is no token {id}");
            catalog.edit(&Actor::CommandLine, vec![CatalogEdit::Remove(CatalogKey::ApiToken(id.clone()))]).await?;
            Ok(format!("token {id} is no longer valid\n"))
        }
    }
}
