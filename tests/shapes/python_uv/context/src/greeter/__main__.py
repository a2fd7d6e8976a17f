import httpx

print("hello from the project", httpx)
