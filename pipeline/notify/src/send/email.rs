//! E-mail over SMTP.

use super::{failed, refused};
use crate::NotifyError;
use crate::config::{Encryption, SmtpConfig, password};
use crate::payload;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::response::{Category, Code, Detail, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::{Duration, SystemTime};
use waystream_domain::notify::{Delivery, Outcome, ReportFormat, headline};
use waystream_tls::{Exposed, is_local_host};

/// A file that goes along.
pub(super) struct Attached {
    /// With its extension.
    pub(super) name: String,
    /// What it is.
    pub(super) format: ReportFormat,
    /// All of it.
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Reads the password and certificates.
    pub(super) fn new(config: &SmtpConfig, timeout: Duration) -> Result<Self, NotifyError> {
        let wrong = |setting: &str, why: String| NotifyError::Settings(format!("smtp.{setting}: {why}"));
        let from: Mailbox = config.from.parse().map_err(|e| wrong("from", format!("{:?}: {e}", config.from)))?;
        let parameters = || {
            let mut builder = TlsParameters::builder(config.host.clone());
            if let Some(path) = &config.ca_file {
                let unreadable = |why: String| wrong("ca_file", format!("could not read {}: {why}", path.display()));
                let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
                builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| unreadable(e.to_string()))?);
            }
            builder.build().map_err(|e| wrong("encryption", e.to_string()))
        };
        let tls = match config.encryption {
            Encryption::Starttls => Tls::Required(parameters()?),
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(timeout));
        let password = password("smtp", config.password.as_ref(), config.password_file.as_deref())?;
        let open = config.encryption == Encryption::None && !config.insecure && !is_local_host(&config.host);
        if password.is_some() && open {
            let server = format!("{}:{}", config.host, config.port);
            let exposed = Exposed { server, tls: "encryption = \"starttls\" or \"tls\"", setting: "insecure" };
            return Err(wrong("password", exposed.to_string()));
        }
        match (&config.user, password) {
            (Some(user), Some(password)) => builder = builder.credentials(Credentials::new(user.clone(), password.0)),
            (None, None) => {}
            _ => return Err(wrong("user", "user and password belong together".into())),
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Tries once.
    pub(super) async fn send(&self, to: &[String], delivery: &Delivery, attached: Option<Attached>) -> Outcome {
        let message = match self.message(to, delivery, attached) {
            Ok(message) => message,
            Err(error) => return refused(error),
        };
        match self.transport.send(message).await {
            Ok(_) => Outcome::Delivered,
            Err(error) if error.is_permanent() && !error.status().is_some_and(is_about_us) => refused(describe(&error)),
            Err(error) => failed(describe(&error)),
        }
    }

    /// The same message for every attempt, so that a mailbox that has it can tell.
    fn message(&self, to: &[String], delivery: &Delivery, attached: Option<Attached>) -> Result<Message, String> {
        let mut builder: MessageBuilder = Message::builder()
            .message_id(Some(format!("<{}@{}>", delivery.id, self.from.email.domain())))
            .date(SystemTime::from(chrono::DateTime::<chrono::Utc>::from(delivery.matched_at)))
            .from(self.from.clone())
            .subject(headline(delivery));
        for address in to {
            builder = builder.to(address.parse().map_err(|e| format!("{address:?} is not an e-mail address: {e}"))?);
        }
        // So that nobody's absence is told to us.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        builder = builder.raw_header(HeaderValue::new(name, "auto-generated".into()));
        let text = payload::text(delivery);
        let message = match attached {
            None => builder.header(ContentType::TEXT_PLAIN).body(text),
            Some(Attached { name, format, bytes }) => {
                let media_type = match format {
                    ReportFormat::Csv => "text/csv; charset=utf-8",
                    ReportFormat::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                };
                let media_type = ContentType::parse(media_type).map_err(|e| format!("{media_type} is no media type: {e}"))?;
                // As it is, byte for byte, also text: its ends of lines are its own.
                let bytes = Body::new_with_encoding(bytes, ContentTransferEncoding::Base64);
                let bytes = bytes.map_err(|_| "the file can't be written as base64".to_owned())?;
                let file = Attachment::new(name).body(bytes, media_type);
                builder.multipart(MultiPart::mixed().singlepart(SinglePart::plain(text)).singlepart(file))
            }
        };
        message.map_err(|e| format!("it makes no e-mail: {e}"))
    }
}

/// 530, 534, 535, 538: the server doesn't take us for who we are. That is for an operator to mend, and not the receiver's word.
fn is_about_us(code: Code) -> bool {
    code.severity == Severity::PermanentNegativeCompletion
        && code.category == Category::Unspecified3
        && matches!(code.detail, Detail::Zero | Detail::Four | Detail::Five | Detail::Eight)
}

fn describe(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
