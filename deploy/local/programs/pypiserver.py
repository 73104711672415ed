"""A package index of one's own. Serves the wheels that lie in its data folder."""


def application(data, configuration):
    import pypiserver

    packages = data / "packages"
    packages.mkdir(exist_ok=True)
    return pypiserver.app(roots=[packages], welcome_msg=configuration.get("welcome", "Packages of this environment"))
