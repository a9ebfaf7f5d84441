//! What the edge API answers.

use proto::userservice::User;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use types::SessionId;

use crate::desk::Grant;
use crate::session::Session;

/// A new account.
#[derive(Serialize)]
pub(super) struct Registered {
    id: String,
    email: String,
    name: String,
    role: String,
    created_at: String,
}

impl From<User> for Registered {
    fn from(user: User) -> Self {
        let User { id, email, name, role, created_at } = user;
        Self { id, email, name, role, created_at }
    }
}

/// What a client needs from now on (RFC 6749, section 5.1).
#[derive(Serialize)]
pub(super) struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: &'a str,
}

impl<'a> From<&'a Grant> for Tokens<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            access_token: grant.access.token.expose_secret(),
            token_type: "Bearer",
            expires_in: grant.access.lifetime.as_secs(),
            refresh_token: grant.refresh.reveal(),
        }
    }
}

/// Where somebody is logged in.
#[derive(Serialize)]
pub(super) struct Sessions<'a> {
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    user_agent: &'a str,
    address: String,
    current: bool,
}

impl<'a> Sessions<'a> {
    /// `sessions`, as seen from `current`, which is one of them.
    pub(super) fn of(sessions: &'a [Session], current: SessionId) -> Self {
        let item = |session: &'a Session| Item {
            id: session.id.to_string(),
            created_at: session.created_at.to_string(),
            last_used_at: session.used_at.to_string(),
            expires_at: session.expires_at.to_string(),
            user_agent: session.origin.user_agent.as_str(),
            address: session.origin.address.to_string(),
            current: session.id == current,
        };
        Self { items: sessions.iter().map(item).collect() }
    }
}
