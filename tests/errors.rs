//! Errors.

mod common;
use common::*;
#[tokio::test]
async fn x() {
    let (_aws, base) = aws();
    let e = two_hops(&base).refresh().await.unwrap_err();
    let mut s: Option<&dyn std::error::Error> = Some(&e);
    while let Some(x) = s {
        println!("{x} / {x:?}");
        s = x.source();
    }
}
