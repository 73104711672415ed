"""Our own small program, built from its repository on every push."""


def application(data, configuration):
    import greeter

    return greeter.application(configuration)
