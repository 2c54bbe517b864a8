"""What an executed run did, to look at: one page that needs no network, and the Chrome trace format."""

from runtime.timeline.chrome import chrome_trace
from runtime.timeline.page import page

__all__ = ["chrome_trace", "page"]
