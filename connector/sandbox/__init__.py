"""Form servers and a target to practise on: for `make run`, training and tests.

`kobo.KoboSandbox` is a server that answers like KoboToolbox, written from its observed behaviour and held to it by
recorded exchanges (tests/sandbox/test_contract.py); `central.CentralSandbox` is the same for ODK Central
(tests/sandbox/test_central_contract.py). `receiver.ReceiverApp` is a target of type `rest`. All keep everything in
memory, know synthetic people only, and can be told to fail. Nothing of Silah's own flow imports this.

The sandbox plays other people's servers, so its hooks are posted with `requests` directly: it is the one place that
does not go through `connector.outbound`.
"""
