"""Calendars and contacts."""

import os


def application(data, configuration):
    file = data / "radicale.conf"
    file.write_text(
        f"[storage]\nfilesystem_folder = {data / 'collections'}\n"
        f"[auth]\ntype = none\n[rights]\ntype = {configuration.get('rights', 'owner_only')}\n"
    )
    os.environ["RADICALE_CONFIG"] = str(file)
    import radicale

    return radicale.application
