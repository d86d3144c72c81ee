//! What the command line says of people.

use crate::cli::RunArgs;
use clap::{Args, Subcommand, ValueEnum};
use waystream_domain::catalog::Role;

/// What to do with users.
#[derive(Debug, Clone, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What to do with users.
#[derive(Debug, Clone, Subcommand)]
pub enum UserAction {
    /// One line per user; separated by tabs.
    List {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Add somebody, and print what stands behind the dashboard's address in the link that signs in for the first time, within three days.
    Create {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Sign-in name.
        #[arg(value_name = "NAME")]
        id: String,
        /// Whose.
        #[arg(long, value_name = "ID", default_value = "default")]
        organisation: String,
        /// What may be done.
        #[arg(long, value_enum)]
        role: RoleArg,
    },
    /// Say what somebody may do from now on.
    Role {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Sign-in name.
        #[arg(value_name = "NAME")]
        id: String,
        /// What may be done.
        #[arg(value_enum)]
        role: RoleArg,
    },
    /// Let somebody go: sessions, tokens and links end.
    Remove {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Sign-in name.
        #[arg(value_name = "NAME")]
        id: String,
    },
    /// Print a new link, for who has lost the first one or forgotten a password.
    Link {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Sign-in name.
        #[arg(value_name = "NAME")]
        id: String,
    },
}

/// What to do with organisations.
#[derive(Debug, Clone, Args)]
pub struct OrganisationArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: OrganisationAction,
}

/// What to do with organisations.
#[derive(Debug, Clone, Subcommand)]
pub enum OrganisationAction {
    /// One line per organisation; separated by tabs.
    List {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Make one, with a fleet of the same key. Its first owner: `waystream user create`.
    Create {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Its key.
        #[arg(value_name = "ID")]
        id: String,
        /// For people [default: the key].
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
    },
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Everything in the organisation.
    Owner,
    /// To look, to edit vehicles and geofences, to send commands.
    Dispatcher,
    /// To look.
    Viewer,
    /// To enter and adopt devices, and to see where they were last.
    Installer,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Dispatcher => Self::Dispatcher,
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Installer => Self::Installer,
        }
    }
}
