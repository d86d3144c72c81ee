//! The Redis that gateways share: where it is, and how it is spoken to.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisError, RedisResult};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use waystream_tls::{Exposed, TlsClient, TlsTrust, TrustError, is_local_host};

/// How to reach the Redis that gateways share.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://host:port`, or `rediss://host:port` for TLS; `user:password@` may stand before the host.
    pub url: String,
    /// A file that has nothing but the password, instead of one in the address.
    pub password_file: Option<PathBuf>,
    /// Whom to trust, and who we say we are; only with `rediss://`, which without it trusts whom the operating system trusts.
    pub tls: Option<TlsTrust>,
    /// Send the password to another machine without TLS.
    pub insecure: bool,
}

impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may have the password in it.
        f.debug_struct("RedisConfig").field("tls", &self.tls).field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

/// Why Redis can't be used as it is set.
#[derive(Debug, thiserror::Error)]
pub enum RedisConfigError {
    /// Nobody can be reached there.
    #[error("the address is not like \"redis://host:port\" or \"rediss://host:port\": {0}")]
    Address(RedisError),
    /// There is no password.
    #[error("could not read the password in {}: {error}", path.display())]
    Password {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// TLS is set, but not in the address.
    #[error("redis_tls is set, but the address does not begin with rediss://")]
    NotEncrypted,
    /// Certificates or key can't be used.
    #[error("redis_tls: {0}")]
    Trust(TrustError),
    /// Others could read the password.
    #[error(transparent)]
    Exposed(#[from] Exposed),
}

/// A Redis.
pub(super) struct Server {
    client: Client,
    tls: Option<TlsClient>,
}

impl RedisConfig {
    /// Reads the files.
    pub(super) fn server(&self) -> Result<Server, RedisConfigError> {
        // The client is given connections that are encrypted already: left to itself it would read all certificates of the
        // operating system for each, and make none if one of those is faulty.
        let (encrypted, url) = match self.url.strip_prefix("rediss://") {
            Some(rest) => (true, format!("redis://{rest}")),
            None => (false, self.url.clone()),
        };
        let info = url.as_str().into_connection_info().map_err(RedisConfigError::Address)?;
        // Messages come by the same connection.
        let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if let Some(path) = &self.password_file {
            let password = std::fs::read_to_string(path);
            let password = password.map_err(|error| RedisConfigError::Password { path: path.clone(), error })?;
            settings = settings.set_password(password.trim_end());
        }
        let tls = match (info.addr(), encrypted) {
            (ConnectionAddr::Tcp(host, _), true) => {
                let trust = self.tls.clone().unwrap_or_default();
                Some(TlsClient::new(&trust, host).map_err(RedisConfigError::Trust)?)
            }
            _ if self.tls.is_some() => return Err(RedisConfigError::NotEncrypted),
            _ => None,
        };
        let open = settings.password().is_some() && tls.is_none() && !self.insecure;
        if let ConnectionAddr::Tcp(host, _) = info.addr()
            && open
            && !is_local_host(host)
        {
            return Err(Exposed { server: info.addr().to_string(), tls: "rediss://", setting: "redis_insecure" }.into());
        }
        let client = Client::open(info.set_redis_settings(settings)).map_err(RedisConfigError::Address)?;
        Ok(Server { client, tls })
    }
}

impl Server {
    /// Host and port.
    pub(super) fn address(&self) -> &ConnectionAddr {
        self.client.get_connection_info().addr()
    }

    /// Connects and signs in, within this time. What comes with the connection keeps it alive.
    pub(super) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
        within: Duration,
    ) -> RedisResult<(MultiplexedConnection, Option<AbortOnDropHandle<()>>)> {
        let (Some(tls), ConnectionAddr::Tcp(host, port)) = (&self.tls, self.address()) else {
            return Ok((self.client.get_multiplexed_async_connection_with_config(config).await?, None));
        };
        let connecting = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let stream = tls.connect(stream).await?;
            let settings = self.client.get_connection_info().redis_settings();
            let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, config.clone()).await?;
            Ok::<_, RedisError>((connection, Some(AbortOnDropHandle::new(tokio::spawn(driver)))))
        };
        let connected = tokio::time::timeout(within, connecting).await;
        connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(config: RedisConfig) -> Option<String> {
        config.server().err().map(|error| error.to_string())
    }

    #[test]
    fn a_password_for_redis_goes_to_other_machines_only_encrypted_or_by_an_explicit_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let plain = |url: &str| RedisConfig { url: url.into(), ..RedisConfig::default() };
        let with_file = |url: &str| RedisConfig { password_file: Some(file.clone()), ..plain(url) };
        for config in [
            plain("redis://:secret@redis:6379"),
            plain("redis://me:secret@192.0.2.1"),
            plain("redis://me:secret@[2001:db8::1]:6379"),
            with_file("redis://redis:6379"),
        ] {
            let told = refused(config.clone()).unwrap();
            assert!(told.contains("rediss://") && told.contains("redis_insecure = true"), "{told}");
            assert!(!told.contains("secret"), "{told}");
            assert_eq!(refused(RedisConfig { insecure: true, ..config }), None);
        }
        for config in [
            plain("redis://redis:6379"),
            plain("redis://:secret@localhost:6379"),
            plain("redis://:secret@127.0.0.1"),
            plain("redis://:secret@[::1]:6379"),
            with_file("redis://127.0.0.1:6379"),
        ] {
            assert_eq!(refused(config), None);
        }
        assert_eq!(
            with_file("redis://127.0.0.1").server().unwrap().client.get_connection_info().redis_settings().password(),
            Some("secret")
        );
    }

    #[test]
    fn what_can_not_be_used_is_told_and_no_password_with_it() {
        let plain = |url: &str| RedisConfig { url: url.into(), ..RedisConfig::default() };
        let trust = TlsTrust { ca_file: Some("nowhere.pem".into()), ..TlsTrust::default() };
        let with_tls = |url: &str| RedisConfig { tls: Some(trust.clone()), ..plain(url) };
        for (config, says) in [
            (plain("somewhere:secret"), "not like \"redis://host:port\""),
            (with_tls("redis://:secret@127.0.0.1"), "does not begin with rediss://"),
            (with_tls("rediss://:secret@redis"), "nowhere.pem"),
            (RedisConfig { password_file: Some("no-password".into()), ..plain("redis://127.0.0.1") }, "no-password"),
        ] {
            let printed = format!("{config:?}");
            let told = refused(config).unwrap();
            assert!(told.contains(says), "{told}");
            assert!(!told.contains("secret") && !printed.contains("secret"), "{told} {printed}");
        }
    }
}
