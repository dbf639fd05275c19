"""How fast the C# kernel is, beside .NET Interactive's own tool and Python's kernel on the same machine, asked by jupyter-client. From the
repository's root, on a machine with nothing else to do:

    dotnet run --project lib/NotebookHost -- kernel install && dotnet tool restore
    /usr/bin/python3 tests/Benchmarks/kernels.py

Any other registered kernels of C# may be named behind it.
"""
import json
import os
import statistics
import sys
import tempfile
import threading
import time

TOOL = "dotnet-interactive"
shared = tempfile.mkdtemp()
os.makedirs(os.path.join(shared, "kernels", TOOL))
with open(os.path.join(shared, "kernels", TOOL, "kernel.json"), "w") as file:
    json.dump({"argv": ["dotnet", "tool", "run", "dotnet-interactive", "--", "jupyter", "--default-kernel", "csharp", "--http-local-only", "{connection_file}"],
               "display_name": TOOL, "language": "C#", "env": {"DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT": "1"}}, file)
os.environ["JUPYTER_PATH"] = shared + os.pathsep + os.environ.get("JUPYTER_PATH", "")

from jupyter_client.manager import start_new_kernel  # noqa: E402, after its path is set

CSHARP = {"cell": "1 + 1", "typed": "Console.Wri", "print": 'var line = new string(\'x\', 1000); for (var i = 0; i < 100_000; i++) Console.WriteLine(line);',
          "before": "class Native { [System.Runtime.InteropServices.DllImport(\"libc\")] public static extern int usleep(uint us); }",
          "stuck": {"loop": "while (true) { }", "sleep": "System.Threading.Thread.Sleep(600000);", "await": "await Task.Delay(600000);", "native": "while (true) Native.usleep(200000);"}}
PYTHON = {"cell": "1 + 1", "typed": "pri", "print": "for i in range(100_000): print('x' * 1000)", "before": "import time, asyncio",
          "stuck": {"loop": "while True: pass", "sleep": "time.sleep(600)", "await": "await asyncio.sleep(600)", "native": "while True: time.sleep(.2)"}}
GIVEN_UP = 5


def timed(act):
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


print(f"{'kernel':20}{'first answer':>13}{'trivial cell':>13}{'completion':>11}{'100 MB':>8}   interrupt: " + "".join(f"{name:>8}" for name in CSHARP["stuck"])
      + f"   (seconds; first of 3, else medians of 20; - is not ended in {GIVEN_UP} s)")
for name in [".net-csharp", TOOL, *sys.argv[1:], "python3"]:
    asked = PYTHON if name == "python3" else CSHARP
    firsts = []
    try:
        for attempt in range(3):
            start = time.perf_counter()
            manager, client = start_new_kernel(kernel_name=name, startup_timeout=60)
            run = lambda code, limit=120: client.execute_interactive(code, timeout=limit, output_hook=lambda message: None)
            run(asked["cell"])
            firsts.append(time.perf_counter() - start)
            if attempt < 2:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
    except Exception as problem:
        print(f"{name:20} not measured: {type(problem).__name__}: {problem}")
        continue
    trivial = statistics.median(timed(lambda: run(asked["cell"])) for _ in range(20))
    client.complete(asked["typed"], len(asked["typed"]), reply=True, timeout=60)
    completion = statistics.median(timed(lambda: client.complete(asked["typed"], len(asked["typed"]), reply=True, timeout=60)) for _ in range(20))
    printed = timed(lambda: run(asked["print"]))
    run(asked["before"])
    line = f"{name:20}{statistics.median(firsts):13.3f}{trivial:13.3f}{completion:11.3f}{printed:8.2f}              "
    for code in asked["stuck"].values():
        at = []
        threading.Timer(0.5, lambda: (at.append(time.perf_counter()), manager.interrupt_kernel())).start()
        try:
            run(code, GIVEN_UP + 0.5)
            line += f"{time.perf_counter() - at[0]:8.3f}"
        except TimeoutError:
            line += f"{'-':>8}"
            manager.restart_kernel(now=True)
            client.wait_for_ready(timeout=60)
            run(asked["before"])
    print(line)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
