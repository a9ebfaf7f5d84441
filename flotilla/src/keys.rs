//! The keys that sign access tokens, as operators see them.

use std::io::{self, Write as _};

use proto::flotilla::auth::v1::keys_service_client::KeysServiceClient;
use proto::flotilla::auth::v1::{Key, ListKeysRequest, RotateKeysRequest};
use service_client::Channel;
use types::Timestamp;

use crate::columns::Columns;
use crate::error::Error;
use crate::operations::print;
use crate::operator::{Operator, request};
use crate::refusal::Refusal;
use crate::run::AUTH_SERVICE;

/// Makes the next key.
pub(crate) async fn rotate(operator: &Operator) -> Result<(), Error> {
    let answer = client(operator)?.rotate_keys(request(RotateKeysRequest {})).await;
    let Key { id, signs_from, .. } = answer.map_err(Refusal::from)?.into_inner().key.unwrap_or_default();
    let from = Timestamp::from_micros(signs_from);
    // It is done, whether anybody reads this or not.
    drop(writeln!(io::stdout(), "{id} is published and signs from {from} on."));
    Ok(())
}

/// Tells which keys there are.
pub(crate) async fn list(operator: &Operator) -> Result<(), Error> {
    let answer = client(operator)?.list_keys(request(ListKeysRequest {})).await;
    let keys = answer.map_err(Refusal::from)?.into_inner().keys;
    print(&table(&keys, operator.env.clock.now()));
    Ok(())
}

fn client(operator: &Operator) -> Result<KeysServiceClient<Channel>, Error> {
    Ok(KeysServiceClient::new(operator.channel(&AUTH_SERVICE)?))
}

/// `keys` are the newest first, so that the first one whose time has come is the one that signs.
fn table(keys: &[Key], now: Timestamp) -> Columns<4> {
    let signing = keys.iter().position(|key| key.signs_from <= now.micros());
    let mut table = Columns::under(["KEY", "STATE", "SIGNS FROM", "PUBLISHED UNTIL"]);
    for (place, key) in keys.iter().enumerate() {
        let state = match signing {
            Some(signing) if place == signing => "signs",
            Some(signing) if place > signing => "signed",
            _ => "will sign",
        };
        let until = key.published_until.map(|until| Timestamp::from_micros(until).to_string());
        let from = Timestamp::from_micros(key.signs_from).to_string();
        table.push([key.id.clone(), state.to_owned(), from, until.unwrap_or_default()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_key_whose_time_has_come_is_the_one_that_signs() {
        let key =
            |id: &str, signs_from, published_until| Key { id: id.to_owned(), signs_from, published_until };
        let keys =
            [key("next", 3_000_000, None), key("now", 1_000_000, None), key("old", 0, Some(2_500_000))];
        let text = table(&keys, Timestamp::from_micros(2_000_000)).to_string();
        assert_eq!(
            text,
            "\
KEY   STATE      SIGNS FROM                   PUBLISHED UNTIL
next  will sign  1970-01-01T00:00:03.000000Z
now   signs      1970-01-01T00:00:01.000000Z
old   signed     1970-01-01T00:00:00.000000Z  1970-01-01T00:00:02.500000Z
"
        );
    }
}
