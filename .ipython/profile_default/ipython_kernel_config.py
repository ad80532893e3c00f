"""Settings of every kernel that runs a chapter: `make`, the tests and CI point IPYTHONDIR here.

TensorFlow writes log lines from C++ straight to file descriptor 2 when it is imported, and no
environment variable stops all of them. By default the kernel copies that descriptor into the cell's
output, so times and addresses would be stored in the chapters. Python's own sys.stderr is shown as ever.
"""

c = get_config()  # noqa: F821
c.IPKernelApp.capture_fd_output = False
c.HistoryManager.enabled = False  # two kernels at once would wait for one history file
