"""The web pages of a node: the flow, a case, the week, policy, figures, referrals, the audit (docs/dashboard.md)."""
