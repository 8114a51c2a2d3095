"""Build in a temporary folder: what setuptools leaves behind would lie in the checkout."""

import tempfile

from setuptools import setup

with tempfile.TemporaryDirectory() as folder:
    # By its name it is known as no module of the package.
    setup(script_name="setup.py", options={"build": {"build_base": folder}, "egg_info": {"egg_base": folder}})
