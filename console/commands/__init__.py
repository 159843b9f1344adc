"""The `genfleet` command, one module per group of subcommands.

Attributes:
    COMMANDS: each command's module, which registers it, and its function there; in the order in which they are listed.
"""

COMMANDS = {
    "demo": ("demo", "demo"),
    "run": ("run", "run"),
    "submit": ("run", "submit"),
    "worker": ("run", "worker"),
    "estimate": ("estimate", "estimate"),
    "watch": ("watch", "watch"),
    "status": ("watch", "status"),
    "collect": ("follow", "collect"),
    "export": ("follow", "export"),
    "report": ("follow", "report"),
    "retry": ("jobs", "retry"),
    "pause": ("jobs", "pause"),
    "resume": ("jobs", "resume"),
    "cancel": ("jobs", "cancel"),
    "limits": ("jobs", "limits"),
    "models": ("models", "list_models"),
    "recipes": ("look", "recipes"),
    "check": ("look", "check"),
    "top": ("top", "top"),
    "usage": ("usage", "usage"),
    "flower": ("serve", "flower"),
    "metrics": ("serve", "metrics"),
    "provider": ("serve", "provider"),
    "broker": ("serve", "broker"),
}
