Console.WriteLine("requests are served");
