use std::fmt;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;

use super::Access;
use super::access::Guarded;

/// One operation of an edge API. Its text is such as `GET /users/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// How it is asked for.
    pub method: Method,
    /// Where it is, with the names of what varies in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The operations of one path.
#[derive(Clone, Debug)]
pub struct Operations<S = ()> {
    pub(super) methods: MethodRouter<S>,
    pub(super) declared: Vec<Declared>,
}

#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) method: Method,
    pub(super) access: Access,
}

impl<S: Clone + Send + Sync + 'static> Operations<S> {
    fn none() -> Self {
        Self { methods: MethodRouter::new(), declared: Vec::new() }
    }

    fn and<H, T>(mut self, method: Method, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the methods below are all known to it");
        self.declared.push(Declared { method, access });
        Self { methods: self.methods.on(filter, Guarded { access, handler }), ..self }
    }
}

/// Writes, for each method, the function that begins a path's operations with it and the one that adds it.
macro_rules! methods {
    ($($name:ident $method:ident)*) => {
        $(
            #[doc = concat!("A path whose `", stringify!($method), "` is open to `access`.")]
            pub fn $name<H, T, S>(access: Access, handler: H) -> Operations<S>
            where
                H: Handler<T, S>,
                T: 'static,
                S: Clone + Send + Sync + 'static,
            {
                Operations::none().and(Method::$method, access, handler)
            }
        )*

        impl<S: Clone + Send + Sync + 'static> Operations<S> {
            $(
                #[doc = concat!("The same with `", stringify!($method), "`, open to `access`.")]
                ///
                /// # Panics
                /// When it is there already: a mistake in the code that the first start finds.
                #[must_use]
                pub fn $name<H, T>(self, access: Access, handler: H) -> Self
                where
                    H: Handler<T, S>,
                    T: 'static,
                {
                    self.and(Method::$method, access, handler)
                }
            )*
        }
    };
}

methods! {
    get GET
    post POST
    put PUT
    patch PATCH
    delete DELETE
}
