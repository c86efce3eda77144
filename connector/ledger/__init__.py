"""The only SQL of Silah: receipts, versions, deliveries, attempts, releases, the audit and the users."""
