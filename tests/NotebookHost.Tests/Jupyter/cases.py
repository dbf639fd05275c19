"""What the public suite does not ask: interrupts, input, order of outputs, signatures, the end of a parent. Prints one line a case."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name=".net-csharp")


def run(code, timeout=60, **more):
    outputs = []

    def hook(message):
        if message["msg_type"] not in ("status", "execute_input"):
            outputs.append((message["msg_type"], message["content"]))

    start = time.time()
    reply = client.execute_interactive(code, timeout=timeout, output_hook=hook, **more)
    return reply["content"], outputs, time.time() - start


def check(name, holds, told=""):
    print(("ok " if holds else "FAILED ") + name + ("" if holds else f": {told}"), flush=True)


run("var kept = 41; class Native { [System.Runtime.InteropServices.DllImport(\"libc\")] public static extern int usleep(uint us); }")
for name, code in [("a busy loop", "var n = 0L; while (true) { n++; }"), ("a sleep", "System.Threading.Thread.Sleep(600000);"), ("an await", "await Task.Delay(600000);"),
                   ("a loop after an await", "await Task.Delay(10); var m = 0L; while (true) { m++; }"), ("a wait for a task", "Task.Delay(600000).Wait();"),
                   ("a native call that returns", "while (true) Native.usleep(200000);"), ("a loop that catches", "while (true) { try { System.Threading.Thread.Sleep(100); } catch (ArgumentException) { } }")]:
    interrupted = []
    timer = threading.Timer(1.0, lambda: (interrupted.append(time.time()), manager.interrupt_kernel()))
    timer.start()
    reply, _, _ = run(code)
    took = time.time() - interrupted[0]
    check(f"interrupt ends {name}", reply["status"] == "error" and reply["ename"] == "Interrupted" and took < 1, (reply, took))
    print(f"   after {took:.2f} s")
    check(f"and the state is kept", run("kept + 1")[1] == [("execute_result", {"data": {"text/plain": "42"}, "metadata": {}, "execution_count": run("0")[0]["execution_count"] - 1})], "not 42")

run("async Task<int> Later() { await Task.Delay(10); return 5; }")
for name, code in [("Result", "Later().Result"), ("GetResult", "Later().GetAwaiter().GetResult()"), ("Wait", "var later = Later(); later.Wait(); later.Result")]:
    check(f"{name} of one's own task does not hang", run(code)[1][-1:] != [] and run(code)[1][-1][1]["data"]["text/plain"] == "5")

# What prints while it is interrupted leaves nothing half said.
for attempt in range(20):
    threading.Timer(0.15, manager.interrupt_kernel).start()
    reply, _, _ = run("while (true) Console.WriteLine(1);", timeout=20)
    reply2, outputs, _ = run("2 + 2", timeout=20)
    if reply["status"] != "error" or [c["data"]["text/plain"] for k, c in outputs if k == "execute_result"] != ["4"]:
        break
check("twenty interrupts of a cell that prints, and each next cell answers", attempt == 19 and outputs, (attempt, reply, outputs[:2]))
reply, _, _ = run("#!nosuch")
check("what fails after an interrupt is not called interrupted", "nosuch" in reply["evalue"], reply)
for bad in ({"code": 5}, {"code": "1", "silent": "x"}):
    client.shell_channel.send(client.session.msg("execute_request", bad))
client.stdin_channel.send(client.session.msg("input_reply", {"value": 5}))
time.sleep(0.5)
check("messages of odd content do no harm", run("kept")[0]["status"] == "ok")

reply, outputs, _ = run('Console.Write("a"); Console.Error.Write("b"); display(1); Console.WriteLine("c"); var d = display(2); d.Update(3);')
kinds = [(kind, content.get("name") or content["data"]["text/plain"]) for kind, content in outputs]
check("outputs come in order", kinds == [("stream", "stdout"), ("stream", "stderr"), ("display_data", "1"), ("stream", "stdout"), ("display_data", "2"), ("update_display_data", "3")] , kinds)
check("an update names its display", outputs[-1][1]["transient"]["display_id"] == outputs[-2][1]["transient"]["display_id"], outputs)

first = []
client.execute_interactive('Console.WriteLine("now"); System.Threading.Thread.Sleep(4000); Console.WriteLine("later");', timeout=30,
                           output_hook=lambda m: first.append((time.time(), m["content"].get("text"))) if m["msg_type"] == "stream" else None)
check("streams come as they are written", len(first) == 2 and first[1][0] - first[0][0] > 1, first)

reply, outputs, _ = run("var y = 1;\nint.Parse(\"x\");")
check("an error has its line", reply["status"] == "error" and reply["ename"] == "FormatException" and any("line 2" in line for line in reply["traceback"]), reply)
reply, _, _ = run("var z = nosuch;")
check("a compilation error says where", reply["ename"] == "CompilationError" and "line 1, column 9" in reply["evalue"], reply)

# A cell that does not compile leaves nothing half done: corrected, it knows what it refers to.
host = next(a for a in manager.kernel_spec.argv if a.endswith("NotebookHost.dll"))
library = os.path.join(os.path.dirname(os.path.dirname(host)), "TrainingDynamics", "TrainingDynamics.dll")
reply, _, _ = run(f'#r "{library}"\nusing TrainingDynamics.Theory;\nvar bad = nosuch;')
check("a cell with a reference and a mistake fails", reply["status"] == "error", reply)
reply, _, _ = run(f'#r "{library}"\nusing TrainingDynamics.Optimizers;\nvar type = typeof(Sgd);')
check("and works when the mistake is gone", reply["status"] == "ok", reply)
told = client.inspect("Sgd", 2, reply=True, timeout=60)["content"]
check("inspection tells what the documentation says", told["found"] and "radient" in told["data"]["text/plain"], told)
told = client.inspect("Math.Max(", 9, reply=True, timeout=60)["content"]
check("and between parentheses what may be passed", told["found"] and "Max(" in told["data"]["text/plain"], told)
matches = client.complete("#!ti", 4, reply=True, timeout=60)["content"]["matches"]
check("completion knows the magics", "#!time" in matches, matches)
matches = client.complete("type?.Na", 8, reply=True, timeout=60)["content"]["matches"]
check("completion looks through a question mark", "Name" in matches and "Namespace" in matches, matches)

client.allow_stdin = True
reply, outputs, _ = run("Console.ReadLine() + \"!\"", allow_stdin=True, stdin_hook=lambda message: client.input("answer"))
check("input is asked for", outputs and outputs[-1][1]["data"]["text/plain"] == "answer!", (reply, outputs))
reply, outputs, _ = run('await GetInputAsync("name?") + (await GetPasswordAsync("secret?")).GetClearTextPassword()', allow_stdin=True,
                        stdin_hook=lambda message: client.input({"name?": "you", "secret?": "know"}[message["content"]["prompt"]] + ("!" if message["content"]["password"] else "")))
check("by the engine's own calls too, openly and not", outputs and outputs[-1][1]["data"]["text/plain"] == "youknow!", (reply, outputs))
reply, _, _ = run("Console.ReadLine()", allow_stdin=False)
check("and refused where the client has none", reply["status"] == "error" and "does not take input" in reply["evalue"], reply)

# A message with another key is dropped: no answer, and the kernel goes on.
info = client.get_connection_info()
context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.connect(f"tcp://{info['ip']}:{info['shell_port']}")
parts = [json.dumps(p).encode() for p in ({"msg_id": "1", "msg_type": "kernel_info_request", "session": "s", "username": "u", "date": "", "version": "5.3"}, {}, {}, {})]
for signature in (b"", b"0" * 64):
    socket.send_multipart([b"<IDS|MSG>", signature] + parts)
check("unsigned and wrongly signed messages are dropped", socket.poll(1500) == 0, "answered")
socket.send_multipart([b"garbage"])
check("garbage does no harm", run("kept")[0]["status"] == "ok")
socket.close(0)

ports = [info[p] for p in ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")]
listening = {}
for line in open("/proc/net/tcp").readlines()[1:]:
    fields = line.split()
    address, port = fields[1].split(":")
    if fields[3] == "0A" and int(port, 16) in ports:
        listening[int(port, 16)] = address
check("it listens on 127.0.0.1 only", len(listening) == 5 and set(listening.values()) == {"0100007F"} and not any(int(l.split()[1].split(":")[1], 16) in ports for l in open("/proc/net/tcp6").readlines()[1:] if l.split()[3] == "0A"), listening)

reply, outputs, _ = run('var line = new string(\'x\', 1000); for (var i = 0; i < 100_000; i++) Console.WriteLine(line);')
text = sum(len(c["text"]) for k, c in outputs if k == "stream")
check("a hundred megabytes of text are cut with a notice", text < 1_100_000 and "left out" in outputs[-1][1]["text"], text)

# A client that goes away in the middle of a cell takes nothing along.
other = BlockingKernelClient(connection_file=manager.connection_file)
other.load_connection_file()
other.start_channels()
other.wait_for_ready(timeout=30)
other.execute("System.Threading.Thread.Sleep(1500); var late = 7;")
time.sleep(0.3)
other.stop_channels()
del other
check("a client that vanishes in the middle of a cell takes nothing along", run("late + kept")[1][-1:] == [("execute_result", {"data": {"text/plain": "48"}, "metadata": {}, "execution_count": run("0")[0]["execution_count"] - 1})], "not 48")

manager.restart_kernel(now=False)
client.wait_for_ready(timeout=30)
check("a restart forgets", run("kept")[0]["status"] == "error")
manager.shutdown_kernel(now=False)
check("a shutdown ends it", not manager.is_alive())

# A kernel whose parent is killed ends by itself.
child = subprocess.Popen([sys.executable, "-c", "import sys, time\nfrom jupyter_client.manager import start_new_kernel\nm, c = start_new_kernel(kernel_name='.net-csharp')\nc.execute_interactive('System.Environment.ProcessId', timeout=30, output_hook=lambda x: print(x['content']['data']['text/plain'], flush=True) if x['msg_type'] == 'execute_result' else None)\ntime.sleep(600)"], stdout=subprocess.PIPE, text=True)
kernel = int(child.stdout.readline())
os.kill(child.pid, signal.SIGKILL)
child.wait()


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


deadline = time.time() + 20
while alive(kernel) and time.time() < deadline:
    time.sleep(0.2)
check("it ends when its parent dies", not alive(kernel), kernel)
