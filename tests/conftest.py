import os

import hypothesis

# Before torch is imported: tests run side by side, a process a core, and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test needs the network; what looks for a model on the hub finds none at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# What is promised to the last bit is promised on the processor.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# On a busy machine anything may take longer than it should, once.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
