//! [`ErrorClass`] to and from gRPC's status: the only place that knows both.
//!
//! A status made here carries its class in a `google.rpc.ErrorInfo`, so that it survives the wire exactly. One
//! that was not made here (by a proxy, a foreign server, a broken connection) is taken for [`ErrorClass::Unknown`]
//! unless its code says for certain that nothing happened.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use types::{Classify, ErrorClass, FieldError};

/// Whose reasons `ErrorInfo` names.
const DOMAIN: &str = "flotilla";

/// The reasons that are no classes.
const REFUSED_CALLER: &str = "CALLER_REFUSED";
const OVERLOADED: &str = "OVERLOADED";

/// A class's code and its reason in `ErrorInfo`, which by that message's rules is in capitals.
const fn code_and_reason(class: ErrorClass) -> (Code, &'static str) {
    match class {
        ErrorClass::Invalid => (Code::InvalidArgument, "INVALID"),
        ErrorClass::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
        ErrorClass::Forbidden => (Code::PermissionDenied, "FORBIDDEN"),
        ErrorClass::NotFound => (Code::NotFound, "NOT_FOUND"),
        ErrorClass::Conflict => (Code::AlreadyExists, "CONFLICT"),
        // Not FAILED_PRECONDITION: gRPC's own guide gives a failed test-and-set, after which the caller reads
        // again, to ABORTED.
        ErrorClass::Precondition => (Code::Aborted, "PRECONDITION"),
        // What tonic itself answers to a message over its limit.
        ErrorClass::TooLarge => (Code::OutOfRange, "TOO_LARGE"),
        ErrorClass::TooMany => (Code::ResourceExhausted, "TOO_MANY"),
        ErrorClass::Unavailable => (Code::Unavailable, "UNAVAILABLE"),
        // The one code of which gRPC says that the operation may have completed all the same.
        ErrorClass::Unknown => (Code::DeadlineExceeded, "UNKNOWN"),
        ErrorClass::Internal => (Code::Internal, "INTERNAL"),
    }
}

/// The status that tells `class`, what is wrong in words, and which fields are.
///
/// `message` is dropped for [`ErrorClass::Internal`], of which the caller learns nothing.
pub fn of(class: ErrorClass, message: &str, fields: &[FieldError]) -> Status {
    let (_, reason) = code_and_reason(class);
    detailed(class, reason, message, fields, ErrorDetails::new())
}

/// The status of a refusal that may be asked for again, and not sooner than `after`: a `google.rpc.RetryInfo` says so.
pub fn of_not_now(class: ErrorClass, message: &str, after: Duration) -> Status {
    let (_, reason) = code_and_reason(class);
    detailed(class, reason, message, &[], ErrorDetails::with_retry_info(Some(after)))
}

/// The status of a refusal because there is too much to do: [`ErrorClass::Unavailable`], and if more is asked for, there
/// will be more refusals.
pub fn of_overload(message: &str, after: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(after));
    detailed(ErrorClass::Unavailable, OVERLOADED, message, &[], details)
}

/// Whether a status is one of [`of_overload`].
pub fn is_of_overload(status: &Status) -> bool {
    reason(status).is_some_and(|reason| reason == OVERLOADED)
}

fn detailed(
    class: ErrorClass,
    reason: &str,
    message: &str,
    fields: &[FieldError],
    mut details: ErrorDetails,
) -> Status {
    let (code, _) = code_and_reason(class);
    details.set_error_info(reason, DOMAIN, []);
    if !fields.is_empty() {
        let violations: Vec<_> = fields.iter().map(violation).collect();
        details.set_bad_request(violations);
    }
    let message = if class == ErrorClass::Internal { "internal error" } else { message };
    Status::with_error_details(code, message, details)
}

/// The status of an error that concerns no field; its text is its `Display`.
pub fn of_error(error: &impl Classify) -> Status {
    match (error.class(), error.retry_after()) {
        (class @ (ErrorClass::Unavailable | ErrorClass::TooMany), Some(after)) => {
            of_not_now(class, &error.to_string(), after)
        }
        (class, _) => of(class, &error.to_string(), &[]),
    }
}

/// What a status means to the caller who got it.
pub fn class(status: &Status) -> ErrorClass {
    told(status).unwrap_or_else(|| guess(status))
}

/// The status of a callee that refuses whoever calls it, whatever is called. It names no class, so that nobody takes
/// it for a refusal of the user for whom the call was made.
pub fn of_refused_caller(message: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(REFUSED_CALLER, DOMAIN, []);
    Status::with_error_details(Code::PermissionDenied, message, details)
}

/// Whether a status refuses the service that called, and not the user for whom it did: by us that was told with a
/// class, and a proxy between the two knows of no users.
pub fn refuses_caller(status: &Status) -> bool {
    told(status).is_none() && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}

/// How long a status says that the caller should wait before it asks again.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The fields a status says are wrong.
pub fn fields(status: &Status) -> Vec<FieldError> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    violations.unwrap_or_default().into_iter().map(field_error).collect()
}

fn told(status: &Status) -> Option<ErrorClass> {
    let reason = reason(status)?;
    if reason == OVERLOADED {
        return Some(ErrorClass::Unavailable);
    }
    ErrorClass::ALL.into_iter().find(|&class| code_and_reason(class).1 == reason)
}

fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
    Some(info.reason)
}

fn guess(status: &Status) -> ErrorClass {
    match status.code() {
        Code::InvalidArgument => ErrorClass::Invalid,
        Code::Unauthenticated => ErrorClass::Unauthenticated,
        Code::PermissionDenied => ErrorClass::Forbidden,
        Code::NotFound => ErrorClass::NotFound,
        Code::AlreadyExists => ErrorClass::Conflict,
        Code::Aborted | Code::FailedPrecondition => ErrorClass::Precondition,
        Code::OutOfRange => ErrorClass::TooLarge,
        Code::ResourceExhausted => ErrorClass::TooMany,
        // The callee lacks the method: caller and callee were not deployed together.
        Code::Unimplemented => ErrorClass::Internal,
        // A connection that broke half-way is UNAVAILABLE, INTERNAL or CANCELLED, as it happens; a proxy that gave
        // up waiting is UNAVAILABLE. Who knows that it never connected says so by `of`.
        Code::Unavailable
        | Code::Internal
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Unknown
        | Code::DataLoss
        | Code::Ok => ErrorClass::Unknown,
    }
}

/// protobuf names a field by dots, JSON Pointer by slashes; our names contain neither.
fn violation(field: &FieldError) -> FieldViolation {
    FieldViolation::new(field.pointer.trim_start_matches('/').replace('/', "."), &field.detail)
}

fn field_error(violation: FieldViolation) -> FieldError {
    FieldError { pointer: format!("/{}", violation.field.replace('.', "/")), detail: violation.description }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    fn over_the_wire(status: &Status) -> Status {
        let response = status.clone().into_http::<()>();
        Status::from_header_map(response.headers()).expect("a status is written into the headers")
    }

    #[test]
    fn every_class_survives_the_wire() {
        for class in ErrorClass::ALL {
            let received = over_the_wire(&of(class, "no", &[]));
            assert_eq!(super::class(&received), class);
        }
    }

    #[test]
    fn every_class_has_the_code_that_other_peoples_clients_expect() {
        let codes = ErrorClass::ALL.map(|class| (class.as_str(), of(class, "no", &[]).code()));
        let expected = [
            ("invalid", Code::InvalidArgument),
            ("unauthenticated", Code::Unauthenticated),
            ("forbidden", Code::PermissionDenied),
            ("not_found", Code::NotFound),
            ("conflict", Code::AlreadyExists),
            ("precondition", Code::Aborted),
            ("too_large", Code::OutOfRange),
            ("too_many", Code::ResourceExhausted),
            ("unavailable", Code::Unavailable),
            ("unknown", Code::DeadlineExceeded),
            ("internal", Code::Internal),
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn the_wrong_fields_survive_the_wire() {
        let wrong =
            [FieldError::of("email", "must be an e-mail address"), FieldError::of("a/b", "must be set")];
        let sent = of(ErrorClass::Invalid, "2 fields are wrong", &wrong);
        let named: Vec<_> = sent.get_details_bad_request().unwrap().field_violations;
        assert_eq!(
            named.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(),
            ["email", "a.b"]
        );
        assert_eq!(fields(&over_the_wire(&sent)), wrong);
    }

    #[test]
    fn when_to_ask_again_survives_the_wire() {
        let received =
            over_the_wire(&of_not_now(ErrorClass::Unavailable, "no", Duration::from_millis(1_500)));
        assert_eq!(class(&received), ErrorClass::Unavailable);
        assert_eq!(retry_after(&received), Some(Duration::from_millis(1_500)));
        assert_eq!(retry_after(&of(ErrorClass::Unavailable, "no", &[])), None);
    }

    #[test]
    fn that_there_is_too_much_to_do_survives_the_wire() {
        let received = over_the_wire(&of_overload("no", Duration::from_secs(1)));
        assert!(is_of_overload(&received));
        assert_eq!(class(&received), ErrorClass::Unavailable);
        assert_eq!(retry_after(&received), Some(Duration::from_secs(1)));
        assert!(!is_of_overload(&of(ErrorClass::Unavailable, "no", &[])));
    }

    #[test]
    fn the_caller_learns_nothing_of_an_internal_error() {
        assert_eq!(
            of(ErrorClass::Internal, "relation users does not exist", &[]).message(),
            "internal error"
        );
    }

    #[test]
    fn a_status_of_unknown_origin_may_have_happened_unless_its_code_excludes_it() {
        let may_have_happened = [
            Code::Unavailable,
            Code::Internal,
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Unknown,
            Code::DataLoss,
        ];
        for code in may_have_happened {
            assert_eq!(class(&Status::new(code, "connection closed")), ErrorClass::Unknown, "{code:?}");
        }
        assert_eq!(class(&Status::new(Code::FailedPrecondition, "")), ErrorClass::Precondition);
        assert_eq!(class(&Status::new(Code::Unimplemented, "")), ErrorClass::Internal);
    }

    #[test]
    fn a_refusal_of_the_caller_is_told_from_one_of_the_user() {
        let of_the_caller = [
            of_refused_caller("order-service may not call it"),
            Status::new(Code::PermissionDenied, "by a mesh"),
            Status::new(Code::Unauthenticated, "by a mesh"),
        ];
        for status in of_the_caller {
            let received = over_the_wire(&status);
            assert!(refuses_caller(&received), "{received}");
            assert!(matches!(class(&received), ErrorClass::Forbidden | ErrorClass::Unauthenticated));
        }
        for class in ErrorClass::ALL {
            assert!(!refuses_caller(&over_the_wire(&of(class, "no", &[]))), "{class:?}");
        }
    }

    #[test]
    fn reasons_of_another_domain_are_not_taken_for_ours() {
        let mut details = ErrorDetails::new();
        details.set_error_info("UNAVAILABLE", "elsewhere.example", []);
        let foreign =
            Status::with_error_details_and_metadata(Code::Unavailable, "no", details, MetadataMap::new());
        assert_eq!(class(&foreign), ErrorClass::Unknown);
    }
}
