//! x
#[path="../it/lifecycle.rs"] mod lifecycle;
#[path="../it/process.rs"] mod process;
#[path="../it/town.rs"] mod town;
