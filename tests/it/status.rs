//! What a chain reports about its hops.

use sts_simulator::Fault;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn the_status_describes_each_hop_of_the_chain() {
    let (aws, base) = aws();
    let tenant = two_hops(&base);
    let lines = || -> Vec<String> { tenant.status().iter().map(|hop| hop.to_string()).collect() };
    assert_eq!(
        lines(),
        [
            format!("{HUB}: no credentials yet"),
            format!("{TENANT}: no credentials yet")
        ]
    );

    aws.fail(Fault::connection_closed());
    tenant.refresh().await.unwrap_err();
    let status = tenant.status();
    assert!(
        status
            .iter()
            .all(|hop| hop.is_expired && hop.next_refresh.is_none())
    );
    for line in lines() {
        assert!(line.contains("last load failed: assuming"), "{line}");
        assert!(
            line.contains("(hop 1 of 2): STS could not be called"),
            "{line}"
        );
        assert!(
            line.contains("connection closed"),
            "the cause is told: {line}"
        );
    }

    aws.recover();
    tenant.refresh().await.unwrap();
    assert!(
        tenant
            .status()
            .iter()
            .all(|hop| !hop.is_expired && hop.last_error.is_none())
    );
    aws.clock().advance(2 * HOUR).await;
    assert!(lines()[1].contains(": expired at 20"), "{:?}", lines());
    assert!(lines()[1].ends_with(", the next call loads new ones"));
    assert!(tenant.status()[1].is_expired);

    aws.fail(Fault::connection_closed());
    tenant.refresh().await.unwrap_err();
    let line = &lines()[1];
    assert!(line.contains(", but still served, "), "{line}");
    assert!(line.contains("last load failed: assuming"), "{line}");
}
