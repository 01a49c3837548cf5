"""schemathesis sends what the OpenAPI document allows, and what it does not."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from live_server import LiveServer
from schemathesis.checks import not_a_server_error
from server_samples import filled_gallery

from likebut.server.service import Service
from likebut.server.settings import ServerSettings
