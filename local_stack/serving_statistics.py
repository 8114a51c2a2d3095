"""clearml-serving's statistics process, kept to the loopback address and able to be stopped.

    python -m local_stack.serving_statistics        # serving.py sets the environment variables it reads

clearml-serving offers its page of counts to the whole network, with no setting against it. It does not end
by SIGTERM, either: the ClearML SDK loses the signal if nothing else handles it.
"""

import signal
import sys
from functools import partial

import prometheus_client
from clearml_serving.statistics.main import main

from .loopback import HOST

if __name__ == "__main__":
    prometheus_client.start_http_server = partial(prometheus_client.start_http_server, addr=HOST)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    main()
