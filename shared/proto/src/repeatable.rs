/// In the order of their bytes.
const REPEATABLE: &[&str] = &include!(concat!(env!("OUT_DIR"), "/repeatable.rs"));

/// Health of gRPC's own, whose contract is not ours to write into.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Whether the method at `path`, such as `/userservice.UserService/GetUser`, may be called a second time where it is not
/// known what became of the first: whether its contract gives it an `idempotency_level`.
pub fn is_repeatable(path: &str) -> bool {
    path == HEALTH || REPEATABLE.binary_search(&path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_contract_calls_idempotent_may_be_repeated_and_nothing_else() {
        let repeatable = [
            "/userservice.UserService/GetUser",
            "/flotilla.users.v1.AccountsService/SettleChanges",
            "/grpc.health.v1.Health/Check",
        ];
        for path in repeatable {
            assert!(is_repeatable(path), "{path}");
        }
        let once = [
            "/userservice.UserService/CreateUser",
            "/flotilla.users.v1.AccountsService/ChangePassword",
            "/flotilla.auth.v1.KeysService/RotateKeys",
            "/userservice.UserService/",
            "",
        ];
        for path in once {
            assert!(!is_repeatable(path), "{path}");
        }
    }
}
