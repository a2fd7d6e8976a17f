import requests

print("asked", requests)
