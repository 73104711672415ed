"""Files over WebDAV."""


def application(data, configuration):
    from wsgidav.wsgidav_app import WsgiDAVApp

    files = data / "files"
    files.mkdir(exist_ok=True)
    return WsgiDAVApp(
        {
            "provider_mapping": {"/": {"root": str(files), "readonly": bool(configuration.get("read_only", True))}},
            "simple_dc": {"user_mapping": {"*": True}},
            "verbose": 1,
            "logging": {"enable_loggers": []},
        }
    )
