"""How fast the C# kernel is beside the Python kernel of the same machine, asked by jupyter-client. From the repository's root:

    dotnet run --project lib/NotebookHost -- kernel install
    /usr/bin/python3 tests/Benchmarks/kernels.py
"""
import statistics
import threading
import time

from jupyter_client.manager import start_new_kernel

KERNELS = {".net-csharp": ("1 + 1", "Console.Wri", "while (true) { }"), "python3": ("1 + 1", "pri", "while True: pass")}


def timed(act):
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


print(f"{'kernel':14}{'first answer':>14}{'trivial cell':>14}{'completion':>14}{'interrupt':>12}   (seconds; medians of 20)")
for name, (cell, typed, loop) in KERNELS.items():
    try:
        start = time.perf_counter()
        manager, client = start_new_kernel(kernel_name=name)
    except Exception as problem:
        print(f"{name:14} not measured: {problem}")
        continue
    run = lambda code: client.execute_interactive(code, timeout=60, output_hook=lambda message: None)
    run(cell)
    first = time.perf_counter() - start
    trivial = statistics.median(timed(lambda: run(cell)) for _ in range(20))
    client.complete(typed, len(typed), reply=True, timeout=60)
    completion = statistics.median(timed(lambda: client.complete(typed, len(typed), reply=True, timeout=60)) for _ in range(20))
    at = []
    threading.Timer(0.5, lambda: (at.append(time.perf_counter()), manager.interrupt_kernel())).start()
    run(loop)
    interrupt = time.perf_counter() - at[0]
    print(f"{name:14}{first:14.3f}{trivial:14.3f}{completion:14.3f}{interrupt:12.3f}")
    client.stop_channels()
    manager.shutdown_kernel(now=True)
