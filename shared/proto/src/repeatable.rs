/// In the order of their bytes.
const WITHOUT_EFFECT: &[&str] = &include!(concat!(env!("OUT_DIR"), "/without_effect.rs"));
const IDEMPOTENT: &[&str] = &include!(concat!(env!("OUT_DIR"), "/idempotent.rs"));

/// Health of gRPC's own, whose contract is not ours to write into.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// What doing something a second time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// It may be done twice then: to be done once or not at all.
    No,
    /// The effect is the same as if it had been done once, and what is answered may be another: that there is nothing to
    /// delete, because the first time has deleted it.
    Idempotent,
    /// Nothing is changed by it, however often it is done.
    WithoutEffect,
}

impl Repeatable {
    /// Of the gRPC method at `path`, such as `/userservice.UserService/GetUser`, by the `idempotency_level` of its contract.
    pub fn of_method(path: &str) -> Self {
        match path {
            HEALTH => Self::WithoutEffect,
            path if WITHOUT_EFFECT.binary_search(&path).is_ok() => Self::WithoutEffect,
            path if IDEMPOTENT.binary_search(&path).is_ok() => Self::Idempotent,
            _ => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_tells_what_may_be_repeated() {
        let methods = [
            ("/userservice.UserService/GetUser", Repeatable::WithoutEffect),
            ("/grpc.health.v1.Health/Check", Repeatable::WithoutEffect),
            ("/flotilla.users.v1.AccountsService/SettleChanges", Repeatable::Idempotent),
            ("/userservice.UserService/CreateUser", Repeatable::No),
            ("/flotilla.users.v1.AccountsService/ChangePassword", Repeatable::No),
            ("/flotilla.auth.v1.KeysService/RotateKeys", Repeatable::No),
            ("/userservice.UserService/", Repeatable::No),
            ("", Repeatable::No),
        ];
        for (path, repeatable) in methods {
            assert_eq!(Repeatable::of_method(path), repeatable, "{path}");
        }
    }
}
