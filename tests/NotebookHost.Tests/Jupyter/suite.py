"""The public test suite for Jupyter kernels (jupyter_kernel_test), told what C# looks like."""
import unittest

import jupyter_kernel_test as jkt

jkt.TIMEOUT = 60  # a machine that does something else besides may be slow

class CSharp(jkt.KernelTests):
    kernel_name = ".net-csharp"
    language_name = "C#"
    file_extension = ".cs"
    code_hello_world = 'Console.WriteLine("hello, world");'
    code_stderr = 'Console.Error.WriteLine("oops");'
    completion_samples = [{"text": "Math.Sq", "matches": {"Sqrt"}}]
    complete_code_samples = ["var a = 1;", "1 + 1", "class A { }"]
    incomplete_code_samples = ["for (var i = 0; i < 3; i++) {", "class A {"]
    invalid_code_samples = ["var 5 = ;"]
    code_generate_error = 'throw new Exception("no");'
    code_execute_result = [{"code": "1 + 2", "result": "3"}, {"code": "\"a\" + 1", "result": "a1"}]
    code_display_data = [{"code": 'display(HTML("<b>x</b>"))', "mime": "text/html"}]
    code_inspect_sample = "Console.WriteLine"


if __name__ == "__main__":
    unittest.main()
