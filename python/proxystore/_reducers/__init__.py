"""How the types of other libraries are serialized without copying.

The modules here are imported by the extension module alone: each once its
library is in the program, or once a frame that it wrote is read.

Pickled objects name the `rebuild_*` functions of these modules, so these
stay where they are and keep taking what they take.
"""

from __future__ import annotations
