from django import wsgi

print("the shop serves", wsgi)
