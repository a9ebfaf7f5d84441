//! What every part of the platform means by an id, an e-mail address, a control character, an amount of money, a moment,
//! a service's name and an error. Values here are valid by construction; nothing here does I/O.

mod control;
mod email;
mod error_class;
mod field_error;
mod id;
mod money;
mod network;
mod role;
mod service_name;
mod timestamp;

pub use control::is_control;
pub use email::{Email, EmailError};
pub use error_class::{Classify, ErrorClass};
pub use field_error::FieldError;
pub use id::{Id, IdError, Session, SessionId, User, UserId};
pub use money::{Currency, CurrencyError, Money};
pub use network::Network;
pub use role::{Role, RoleError};
pub use service_name::{ServiceName, ServiceNameError};
pub use timestamp::{Timestamp, TimestampError};
